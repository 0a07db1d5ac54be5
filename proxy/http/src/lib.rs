//! Heads, bodies, framing, the HTTP/1.1 codec and HTTP/2.
