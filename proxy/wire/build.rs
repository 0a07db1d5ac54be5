//! Generates the messages and the service of `proto/push.proto`. The compiler is a crate, so that no `protoc` is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["push.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".fairlead.push.v1.Resource.payload")
        .compile_fds(files)?;
    Ok(())
}
