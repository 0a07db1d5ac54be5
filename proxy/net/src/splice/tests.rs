use super::*;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::task::Waker;
use tokio::net::TcpListener;

/// Our end of a connection, and the peer's.
async fn pair() -> (Stream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (Stream::Tcp(listener.accept().await.unwrap().0), peer)
}

#[tokio::test]
async fn bytes_and_the_end_pass() {
    let ((from, mut sender), (to, mut receiver)) = (pair().await, pair().await);
    let mut pipe = Pipe::new().unwrap();
    sender.write_all(b"hello").unwrap();
    assert_eq!(poll_fn(|cx| pipe.poll_fill(cx, &from)).await.unwrap(), 5);
    assert!(!pipe.is_empty());
    assert_eq!(poll_fn(|cx| pipe.poll_drain(cx, &to)).await.unwrap(), 5);
    assert!(pipe.is_empty());
    let mut bytes = [0; 5];
    receiver.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    assert!(poll_once(|cx| pipe.poll_fill(cx, &from)).is_none(), "nothing more arrived");
    drop(sender);
    assert_eq!(poll_fn(|cx| pipe.poll_fill(cx, &from)).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_not_taken_stays_and_waits() {
    let ((from, mut sender), (to, mut receiver)) = (pair().await, pair().await);
    let sending = std::thread::spawn(move || sender.write_all(&vec![7; 32 << 20]));
    let mut pipe = Pipe::new().unwrap();
    let (mut filled, mut drained) = (0, 0);
    // Until the receiver's buffers are full.
    loop {
        if pipe.is_empty() {
            filled += poll_fn(|cx| pipe.poll_fill(cx, &from)).await.unwrap();
        }
        match poll_once(|cx| pipe.poll_drain(cx, &to)) {
            Some(n) => drained += n.unwrap(),
            None => break,
        }
        tokio::task::yield_now().await;
    }
    assert!(filled > drained && filled - drained <= MOST && !pipe.is_empty(), "{filled} {drained}");
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        receiver.read_to_end(&mut bytes).map(|_| bytes)
    });
    loop {
        while !pipe.is_empty() {
            poll_fn(|cx| pipe.poll_drain(cx, &to)).await.unwrap();
        }
        if poll_fn(|cx| pipe.poll_fill(cx, &from)).await.unwrap() == 0 {
            break;
        }
    }
    drop(to);
    sending.join().unwrap().unwrap();
    let bytes = reading.join().unwrap().unwrap();
    assert!(bytes.len() == 32 << 20 && bytes.iter().all(|byte| *byte == 7), "{}", bytes.len());
}

#[tokio::test]
async fn errors_are_those_of_the_side() {
    let ((from, mut sender), (to, receiver)) = (pair().await, pair().await);
    let mut pipe = Pipe::new().unwrap();
    sender.write_all(b"hello").unwrap();
    poll_fn(|cx| pipe.poll_fill(cx, &from)).await.unwrap();
    socket2::SockRef::from(&receiver).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(receiver);
    let error = loop {
        if let Err(error) = poll_fn(|cx| pipe.poll_drain(cx, &to)).await {
            break error;
        }
        sender.write_all(b"more").unwrap();
        poll_fn(|cx| pipe.poll_fill(cx, &from)).await.unwrap();
    };
    assert!(matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{error}");
    let (unix, _peer) = tokio::net::UnixStream::pair().unwrap();
    let unix = Stream::Unix(unix);
    assert!(!Pipe::fits(&from, &unix) && Pipe::fits(&from, &to));
    let refused = poll_fn(|cx| pipe.poll_drain(cx, &unix)).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::Unsupported);
}

fn poll_once<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    match poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
