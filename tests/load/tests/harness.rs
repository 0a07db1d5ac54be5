//! The tests of the harness, which is Python.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::process::Command;

#[test]
fn the_harness_passes_its_own_tests() {
    let output = Command::new("python3")
        .args(["-B", "-m", "unittest", "discover", "-s", "bench/tests", "-t", "."])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("python3");
    let text = String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    assert!(output.status.success() && !text.contains("Ran 0 tests"), "{text}");
}
