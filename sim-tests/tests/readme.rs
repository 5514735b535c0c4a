//! The README's two tests: a client that skips a slow answer later reads it as the answer to its next question.

mod tasks {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
    use tokio::time::timeout;
    use wavetank::Sim;
    use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};

    #[wavetank::test(finds = "the answer to another question")]
    fn answers_match_questions(sim: &mut Sim) {
        sim.latency(Duration::from_millis(1)..=Duration::from_millis(20));
        sim.server("server", async |host| {
            let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
            let (mut reader, mut writer) = split(listener.accept().await?.0);
            copy(&mut reader, &mut writer).await.map(drop)
        });
        sim.client("client", async |host| {
            let server = host.resolve("server", 80).await?[0];
            let mut stream = host.connect(server, SocketOptions::new()).await?;
            for question in 0..10 {
                stream.write_u8(question).await?; // An answer that takes longer than 30 ms is skipped.
                if let Ok(answer) = timeout(Duration::from_millis(30), stream.read_u8()).await {
                    assert_eq!(answer?, question, "the answer to another question");
                }
            }
            wavetank::Ok(())
        });
    }
}

mod threads {
    use std::io::{Read, Write};
    use std::time::Duration;

    use wavetank::Sim;
    use wavetank::runtime::{BlockingListener, BlockingStream, ListenOptions, SocketOptions, Threads};

    #[wavetank::test(finds = "the answer to another question")]
    fn answers_match_questions(sim: &mut Sim) {
        sim.latency(Duration::from_millis(1)..=Duration::from_millis(20));
        sim.server_thread("server", |host| {
            let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
            let (mut stream, _) = listener.accept()?;
            let mut question = [0];
            while stream.read_exact(&mut question).is_ok() {
                stream.write_all(&question)?;
            }
            wavetank::Ok(())
        });
        sim.client_thread("client", |host| {
            let server = host.resolve("server", 80)?[0];
            let mut stream = host.connect(server, SocketOptions::new(), None)?;
            stream.set_read_timeout(Some(Duration::from_millis(30)))?;
            for question in 0..10 {
                stream.write_all(&[question])?;
                let mut answer = [0];
                // Skips an answer that takes longer than 30 ms.
                if stream.read_exact(&mut answer).is_ok() {
                    assert_eq!(answer, [question], "the answer to another question");
                }
            }
            wavetank::Ok(())
        });
    }
}
