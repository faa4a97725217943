//! Arguments as templates: what one program is given by another, without what varies or is secret.

pub mod mask;

pub mod code;

pub mod vector;

pub mod word;

pub mod templates;

#[cfg(test)]
mod tests;
