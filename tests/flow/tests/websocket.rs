//! WebSocket: example `websocket`.
#![allow(clippy::expect_used)]

use fairlead_test_flow::Setup;
use fairlead_testkit::Wire;
use fairlead_testkit::websocket::{HANDSHAKE, frame, op, parse};
use std::io::Read;
use std::time::Duration;

/// Reads frames until one with `opcode` comes.
fn until(wire: &mut Wire, bytes: &mut Vec<u8>, opcode: u8) -> Vec<u8> {
    loop {
        if let Some((found, payload)) = parse(bytes) {
            if found == opcode {
                return payload;
            }
            continue;
        }
        let mut more = [0; 4096];
        let n = wire.stream().read(&mut more).expect("frames");
        assert!(n > 0, "the connection ended");
        bytes.extend_from_slice(&more[..n]);
    }
}

#[test]
fn messages_come_back_for_longer_than_the_timeout() {
    let stage = Setup::example("websocket").echo(3000, "one").start();
    let text = std::fs::read_to_string(stage.proxy.dir.path().join("websocket.yaml")).expect("readable");
    stage.write("websocket.yaml", &text.replace("request: 5s", "request: 700ms"));
    stage.until_printed(&["changed HTTPRoute default/chat"]);

    let mut wire = Wire::connect(stage.proxy.address(8080));
    wire.stream().set_read_timeout(Some(Duration::from_secs(10))).expect("timeout");
    wire.send(format!("GET /chat?room=1 HTTP/1.1\r\nHost: chat.test\r\n{HANDSHAKE}\r\n"));
    let answer = wire.response(false).expect("an answer");
    assert_eq!(
        (answer.status, answer.header("sec-websocket-accept")),
        (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        "{answer:?}"
    );
    let mut bytes = Vec::new();
    for (index, pause) in [0, 500, 500].into_iter().enumerate() {
        std::thread::sleep(Duration::from_millis(pause));
        let message = format!("message {index}");
        wire.send(frame(op::TEXT, message.as_bytes()));
        assert_eq!(until(&mut wire, &mut bytes, op::TEXT), message.as_bytes());
    }
    let big = vec![b'x'; 300_000];
    wire.send(frame(op::BINARY, &big));
    assert_eq!(until(&mut wire, &mut bytes, op::BINARY).len(), big.len());
    wire.send(frame(op::CLOSE, &1000u16.to_be_bytes()));
    until(&mut wire, &mut bytes, op::CLOSE);
    drop(wire);
    let line = stage.proxy.log_of("/chat?room=1");
    assert_eq!(line["response_code"], 101, "{line}");
}

#[test]
fn what_is_no_handshake_is_an_ordinary_request_or_refused() {
    let stage = Setup::example("websocket").echo(3000, "one").start();
    assert_eq!(stage.get(8080, "chat.test", "/other").status, 404);
    let other = HANDSHAKE.replace("websocket\r\n", "h2c-or-so\r\n");
    let request = format!("GET /chat/x HTTP/1.1\r\nHost: a\r\n{other}\r\n");
    let answer = fairlead_testkit::exchange(stage.proxy.address(8080), request).expect("an answer");
    // RFC 9110 §7.8: an upgrade that is not understood is ignored, and concerns this connection only.
    assert_eq!(answer.status, 200);
    assert!(answer.json()["headers"].get("Upgrade").is_none() && answer.json()["headers"].get("Connection").is_none());
}
