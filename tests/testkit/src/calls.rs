//! A gRPC server for unary calls of bytes, as its script says; and protobuf by hand.

use crate::frames::{Frame, Frames, flag, kind};
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// See the module. Ends with the test's process.
pub struct Calls {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// What to do about a call.
#[derive(Clone, Debug)]
pub enum CallAct {
    /// Answer with this message.
    Answer(Vec<u8>),
    /// End with this status.
    Fail(u32),
    /// Send these bytes as they are instead of a message, and then status 0.
    Raw(Vec<u8>),
    /// Reset the stream.
    Reset,
    /// Never answer.
    Hold,
}

impl Calls {
    /// Starts one on a free port; `act` is asked for each message.
    pub fn start(act: impl Fn(&[u8]) -> CallAct + Send + Sync + 'static) -> Calls {
        Calls::at(([127, 0, 0, 1], 0), act)
    }

    /// Starts one there.
    pub fn at(address: impl Into<SocketAddr>, act: impl Fn(&[u8]) -> CallAct + Send + Sync + 'static) -> Calls {
        let listener = TcpListener::bind(address.into()).expect("the port");
        let address = listener.local_addr().expect("address");
        let seen = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let (shared, act) = (seen.clone(), Arc::new(act));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, act) = (shared.clone(), act.clone());
                std::thread::spawn(move || serve(stream, &seen, &*act));
            }
        });
        Calls { address, seen }
    }

    /// The messages that came so far.
    pub fn seen(&self) -> Vec<Vec<u8>> {
        self.seen.lock().expect("seen").clone()
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Vec<u8>>>, act: &dyn Fn(&[u8]) -> CallAct) {
    let Some(mut frames) = Frames::accept(stream) else { return };
    let mut streams: HashMap<u32, Vec<u8>> = HashMap::new();
    while let Some(frame) = frames.until(|frame| matches!(frame.kind, kind::HEADERS | kind::DATA)) {
        let data = streams.entry(frame.stream).or_default();
        if frame.kind == kind::DATA && !frame.payload.is_empty() {
            data.extend_from_slice(&frame.payload);
            let size = frame.payload.len() as u32;
            frames.send(&Frame::window(0, size));
            if frame.flags & flag::END_STREAM == 0 {
                frames.send(&Frame::window(frame.stream, size));
            }
        }
        if frame.flags & flag::END_STREAM != 0 {
            let message = streams.remove(&frame.stream).unwrap_or_default().split_off(5);
            seen.lock().expect("seen").push(message.clone());
            answer(&mut frames, frame.stream, act(&message));
        }
    }
}

fn answer(frames: &mut Frames, stream: u32, act: CallAct) {
    let head = [(":status", "200"), ("content-type", "application/grpc")];
    let bytes = match act {
        CallAct::Answer(message) => {
            let mut bytes = vec![0];
            bytes.extend((message.len() as u32).to_be_bytes());
            bytes.extend(message);
            bytes
        }
        CallAct::Raw(bytes) => bytes,
        CallAct::Fail(status) => {
            let status = status.to_string();
            let head = [head[0], head[1], ("grpc-status", &status)];
            frames.send(&Frame::headers(stream, flag::END_STREAM, &head));
            return;
        }
        CallAct::Reset => {
            frames.send(&Frame::reset(stream, 2));
            return;
        }
        CallAct::Hold => return,
    };
    frames.send(&Frame::headers(stream, 0, &head));
    for piece in bytes.chunks(16_000) {
        frames.send(&Frame::new(kind::DATA, 0, stream, piece));
    }
    frames.send(&Frame::headers(stream, flag::END_STREAM, &[("grpc-status", "0")]));
}

/// A field of a message that is bytes, text or a message.
pub fn field(number: u32, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let mut out = varint(u64::from(number) << 3 | 2);
    out.extend(varint(value.len() as u64));
    out.extend(value);
    out
}

/// A field of a message that is a number or an enum.
pub fn number(number: u32, value: u64) -> Vec<u8> {
    let mut out = varint(u64::from(number) << 3);
    out.extend(varint(value));
    out
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
