//! A server as a process that ends with the test, and curl, which asks it behind the data source's back.

use landfall_core::Value;
use landfall_transport_http::{HttpBuilder, HttpTransport, reqwest};
use std::{
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

/// Runs a program until its standard input ends, which it does at the latest when the test's process does.
const UNTIL_INPUT_ENDS: &str = "exec 3<&0; \"$@\" 3<&- </dev/null & server=$!; \
    (cat <&3 >/dev/null; kill -9 \"$server\" 2>/dev/null) & wait \"$server\"";

pub(crate) struct Server {
    child: Child,
    input: Option<ChildStdin>,
    origin: String,
}

impl Server {
    pub(crate) fn start(program: &Command, port: u16) -> Self {
        let said = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", UNTIL_INPUT_ENDS, "sh"]).arg(program.get_program()).args(program.get_args());
        if let Some(folder) = program.get_current_dir() {
            command.current_dir(folder);
        }
        let (stdout, stderr) = (said.reopen().unwrap(), said.reopen().unwrap());
        let mut child = command.stdin(Stdio::piped()).stdout(stdout).stderr(stderr).spawn().unwrap();
        let input = child.stdin.take();
        let mut server = Self { child, input, origin: format!("http://127.0.0.1:{port}") };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.child.try_wait().unwrap().is_some();
            assert!(
                !ended && began.elapsed() < Duration::from_secs(60),
                "the server does not answer: {program:?}\n{}",
                std::fs::read_to_string(said.path()).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// A channel to it.
    pub(crate) fn http(&self) -> HttpBuilder {
        HttpTransport::builder().client(reqwest::Client::builder().no_proxy()).base_url(format!("{}/", self.origin))
    }

    /// What curl gets at a path.
    pub(crate) fn curl(&self, path: &str) -> Value {
        self.curl_with(&[], path)
    }

    /// As [`curl`](Self::curl), with options.
    pub(crate) fn curl_with(&self, options: &[&str], path: &str) -> Value {
        let url = format!("{}{path}", self.origin);
        let fixed = ["-sS", "--fail", "--globoff", "--noproxy", "*", "--max-time", "30"];
        let got = Command::new("curl").args(fixed).args(options).arg(&url).output().expect("curl");
        assert!(got.status.success(), "curl {path}: {}", String::from_utf8_lossy(&got.stderr));
        let text = String::from_utf8_lossy(&got.stdout);
        if text.trim().is_empty() { Value::Null } else { Value::from_json(&text).unwrap() }
    }

    /// Sends JSON with curl.
    pub(crate) fn curl_json(&self, method: &str, path: &str, body: &str, headers: &[&str]) -> Value {
        let mut options = vec!["-X", method, "-H", "Content-Type: application/json", "-d", body];
        options.extend(headers.iter().flat_map(|header| ["-H", *header]));
        self.curl_with(&options, path)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.input = None;
        drop(self.child.wait());
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
