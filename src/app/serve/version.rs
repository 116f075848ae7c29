//! Which version of HTTP a client speaks on a connection without TLS. A client of HTTP/2 that knows that the service
//! speaks it begins with a preface (RFC 9113 §3.3).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads until it is clear whether the client begins with the preface of HTTP/2. What was read is read again from the
/// result.
pub async fn detect<S: AsyncRead + Unpin>(mut socket: S) -> io::Result<(bool, Rewound<S>)> {
    let (mut begin, mut length) = ([0; PREFACE.len()], 0);
    while length < begin.len() {
        let count = socket.read(&mut begin[length..]).await?;
        length += count;
        if count == 0 || !PREFACE.starts_with(&begin[..length]) {
            return Ok((false, Rewound { begin, read: 0, length, socket }));
        }
    }
    Ok((true, Rewound { begin, read: 0, length, socket }))
}

/// A socket from which the first bytes have been read already.
pub struct Rewound<S> {
    begin: [u8; PREFACE.len()],
    read: usize,
    length: usize,
    socket: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = &self.begin[self.read..self.length];
        if left.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, buffer);
        }
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..count]);
        self.read += count;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn a_beginning_in_any_pieces_is_told_and_kept() {
        for (sent, is_http2) in [
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes", true),
            ("GET / HTTP/1.1\r\n\r\n", false),
            ("PRI * HTTP/1.1\r\nHost: im\r\n\r\n", false),
            ("PRI", false),
            ("", false),
        ] {
            for piece in [1, 5, 100] {
                let (mut client, server) = tokio::io::duplex(piece);
                let writing = tokio::spawn(async move {
                    client.write_all(sent.as_bytes()).await.expect("the other side reads");
                });
                let (found, mut socket) = detect(server).await.expect("a beginning");
                let mut all = String::new();
                socket.read_to_string(&mut all).await.expect("text");
                writing.await.expect("written");
                assert_eq!((found, all.as_str()), (is_http2, sent), "in pieces of {piece}");
            }
        }
    }
}
