//! A server answers an upload when it has read the head, as one does that knows the answer already. Then it reads the
//! body, and the next request. The client makes two requests on one connection.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::host::SimStream;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Host, Sim};

/// The lengths of the requests' bodies. The first is more than the sockets take, and no more than hyper takes.
const UPLOADS: [usize; 2] = [200_000, 0];

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Reads the head of a request, byte by byte.
async fn read_head(stream: &mut SimStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(())
}

async fn serve(host: Host) -> io::Result<()> {
    let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
    let mut stream = listener.accept().await?.0;
    for upload in UPLOADS {
        read_head(&mut stream).await?;
        stream.write_all(ANSWER).await?;
        stream.read_exact(&mut vec![0; upload]).await?;
    }
    Ok(())
}

pub(crate) fn a_server_answers_before_it_has_read(sim: &mut Sim) {
    sim.server("server", serve);
    sim.client("client", async |host: Host| {
        let server = host.resolve("server", 80).await?[0];
        let stream = host.connect(server, SocketOptions::new()).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        host.spawn("connection", async move { drop(connection.await) });
        for upload in UPLOADS {
            sender.ready().await?;
            let body = Full::new(Bytes::from(vec![7; upload]));
            let request = Request::post("/").header("host", "server").body(body)?;
            let answer = sender.send_request(request).await?;
            assert_eq!(answer.into_body().collect().await?.to_bytes(), "ok");
        }
        wavetank::Ok(())
    });
}
