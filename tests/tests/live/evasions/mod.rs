//! Known ways round such rules, each tried. What gets through is asserted too, with the reason: the
//! test fails on the day it no longer does.
