//! What the binary says of itself.

use std::fs;
use std::path::Path;

#[test]
fn the_catalogue_in_the_repository_is_that_of_the_binary() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("api").join("catalogue.json");
    let kept = fs::read_to_string(kept).expect("api/catalogue.json");
    assert_eq!(e2e::run_opencrs(&["catalogue"]), kept, "`cargo xtask codegen` writes it anew");
}
