//! A web server for one file, as good or as bad as a test wants it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How the server treats a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Sends what is asked for.
    Proper,
    /// Sends what is asked for, without a word on its length.
    WithoutLength,
    /// Sends so many bytes of it and hangs up.
    HangsUpAfter(usize),
    /// Sends so many bytes of it and then nothing, without hanging up.
    FallsSilentAfter(usize),
    /// Sends a thousand bytes every few milliseconds.
    Trickles,
    /// Sends the whole file whatever part is asked for.
    IgnoresRange,
    /// Sends the part from the first byte on whatever part is asked for, and says so.
    SendsAnotherPart,
    /// Answers with a status, such as `404 Not Found`.
    Answers(&'static str),
}

/// A running server.
pub struct Server {
    /// Where the file is.
    pub url: String,
    ranges: Arc<Mutex<Vec<Option<usize>>>>,
}

impl Server {
    /// Serves `file` to clients, in each of these manners in turn, the last one for ever.
    pub fn start(file: &[u8], manners: &[Manner]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/cifar-10-binary.tar.gz", listener.local_addr().unwrap());
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let (file, manners, seen) = (file.to_vec(), manners.to_vec(), ranges.clone());
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let manner = manners[number.min(manners.len() - 1)];
                let (file, seen) = (file.clone(), seen.clone());
                // A client may hang up before it has everything.
                thread::spawn(move || serve(stream.unwrap(), &file, manner, &seen));
            }
        });
        Self { url, ranges }
    }

    /// The first byte that each request so far asked for, if it did not ask for the whole file.
    pub fn ranges(&self) -> Vec<Option<usize>> {
        self.ranges.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    file: &[u8],
    manner: Manner,
    ranges: &Mutex<Vec<Option<usize>>>,
) -> std::io::Result<()> {
    let mut range = None;
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?.to_ascii_lowercase();
        if let Some(wanted) = line.strip_prefix("range: bytes=") {
            range = wanted.strip_suffix('-').and_then(|start| start.parse().ok());
        }
        if line.is_empty() {
            break;
        }
    }
    ranges.lock().unwrap().push(range);
    let start = match manner {
        Manner::IgnoresRange | Manner::SendsAnotherPart => 0,
        _ => range.unwrap_or(0),
    };
    let status = match (manner, range) {
        (Manner::Answers(status), _) => status,
        (Manner::IgnoresRange, _) | (_, None) => "200 OK",
        _ if start >= file.len() => "416 Range Not Satisfiable",
        _ => "206 Partial Content",
    };
    let body = match status.as_bytes()[0] {
        b'2' => &file[start..],
        _ => b"",
    };
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n")?;
    if manner != Manner::WithoutLength {
        write!(stream, "Content-Length: {}\r\n", body.len())?;
    }
    if status.starts_with("206") {
        write!(stream, "Content-Range: bytes {start}-{}/{}\r\n", file.len() - 1, file.len())?;
    }
    write!(stream, "\r\n")?;
    match manner {
        Manner::HangsUpAfter(bytes) => stream.write_all(&body[..bytes]),
        Manner::FallsSilentAfter(bytes) => {
            stream.write_all(&body[..bytes])?;
            thread::park();
            Ok(())
        }
        Manner::Trickles => body.chunks(1000).try_for_each(|piece| {
            thread::sleep(Duration::from_millis(3));
            stream.write_all(piece)
        }),
        _ => stream.write_all(body),
    }
}
