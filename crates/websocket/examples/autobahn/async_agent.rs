//! The client of tasks.

use wavetank_runtime::Tokio;
use wavetank_websocket::client::Client;

use crate::{Result, count_of, patient};

/// Runs every case as `agent`, then has the server write its report.
pub(crate) fn run(url: &str, agent: &str) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(async {
        let client = Client::new(Tokio).config(patient());
        let socket = client.connect(format!("{url}/getCaseCount").parse()?).await?;
        let cases = count_of(&socket.recv().await?)?;
        socket.closed().await;
        for case in 1..=cases {
            let address = format!("{url}/runCase?case={case}&agent={agent}");
            let socket = client.connect(address.parse()?).await?;
            while let Ok(message) = socket.recv().await {
                if socket.send(&message).await.is_err() {
                    break;
                }
            }
            socket.closed().await;
        }
        let socket = client.connect(format!("{url}/updateReports?agent={agent}").parse()?).await?;
        socket.closed().await;
        Ok(())
    })
}
