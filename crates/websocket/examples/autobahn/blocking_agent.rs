//! The client of threads.

use wavetank_runtime::Std;
use wavetank_websocket::blocking::Client;

use crate::{Result, count_of, patient};

/// Runs every case as `agent`, then has the server write its report.
pub(crate) fn run(url: &str, agent: &str) -> Result<()> {
    let client = Client::new(Std).config(patient());
    let socket = client.connect(format!("{url}/getCaseCount").parse()?)?;
    let cases = count_of(&socket.recv()?)?;
    socket.wait_closed();
    for case in 1..=cases {
        let socket = client.connect(format!("{url}/runCase?case={case}&agent={agent}").parse()?)?;
        while let Ok(message) = socket.recv() {
            if socket.send(&message).is_err() {
                break;
            }
        }
        socket.wait_closed();
    }
    client.connect(format!("{url}/updateReports?agent={agent}").parse()?)?.wait_closed();
    Ok(())
}
