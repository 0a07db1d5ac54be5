//! Who reads on, and who must not: upgrades, HTTP/1.0, closed connections.

use super::Expect::{Pass, PassThen, Refuse};
use super::{Case, case};

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("upgrade with length", b"GET /c### HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nContent-Length: 34\r\n\r\nGET /s### HTTP/1.1\r\nHost: test\r\n\r\n", Refuse(400)),
    case("upgrade with chunks", b"GET /c### HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /s### HTTP/1.1\r\nHost: test\r\n\r\n", Refuse(400)),
    case("upgrade to something else with content", b"POST /c### HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 5\r\n\r\nhello", Pass(&[("c", "hello")])),
    case("upgrade that is refused, then a request", b"GET /c### HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\nGET /s### HTTP/1.1\r\nHost: test\r\n\r\n", Pass(&[("c", ""), ("s", "")])),
    case("HTTP/1.0 without length, then more", b"POST /c### HTTP/1.0\r\nHost: test\r\n\r\nGET /s### HTTP/1.1\r\nHost: test\r\n\r\n", PassThen(&[("c", "")], 0)),
    case("HTTP/1.0 with length, then more", b"POST /c### HTTP/1.0\r\nHost: test\r\nContent-Length: 5\r\n\r\nhelloGET /s### HTTP/1.1\r\nHost: test\r\n\r\n", PassThen(&[("c", "hello")], 0)),
    case("close, then more", b"GET /c### HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\nGET /s### HTTP/1.1\r\nHost: test\r\n\r\n", PassThen(&[("c", "")], 0)),
    case("Close in a list, then more", b"GET /c### HTTP/1.1\r\nHost: test\r\nConnection: x, Close\r\n\r\nGET /s### HTTP/1.1\r\nHost: test\r\n\r\n", PassThen(&[("c", "")], 0)),
    case("expectation unknown", b"POST /c### HTTP/1.1\r\nHost: test\r\nExpect: miracle\r\nContent-Length: 5\r\n\r\nhelloGET /s### HTTP/1.1\r\nHost: test\r\n\r\n", Refuse(417)),
    case("HEAD with content", b"HEAD /c### HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello", Pass(&[("c", "hello")])),
    case("DELETE with chunks", b"DELETE /c### HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Pass(&[("c", "hello")])),
    case("OPTIONS of everything", b"OPTIONS /c### HTTP/1.1\r\nHost: test\r\n\r\n", Pass(&[("c", "")])),
];
