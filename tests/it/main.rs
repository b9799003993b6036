//! Tests that need nothing but this repository.

mod yaml;
