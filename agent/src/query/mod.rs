//! Reading observations back: filters, time ranges, tables and JSON.
