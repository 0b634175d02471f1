//! A TCP proxy in front of the broker that cuts connections or stops passing bytes on. Clients
//! reach it through a network of their own, so that addresses in metadata lead to it, too.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use strandline_ports::real::RealNet;
use strandline_ports::{Conn, Listener, Net, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    cut: watch::Sender<u32>,
    is_mute: AtomicBool,
    cuts: AtomicU32,
}

impl Proxy {
    pub(crate) async fn start(broker: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            cut: watch::Sender::new(0),
            is_mute: AtomicBool::new(false),
            cuts: AtomicU32::new(0),
        });
        let (broker, accepting) = (broker.to_owned(), Arc::clone(&state));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&broker).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&accepting)));
            }
        });
        Self { address, state }
    }

    /// Ends every open connection.
    pub(crate) fn cut(&self) {
        self.state.cut.send_modify(|count| *count += 1);
    }

    /// From now on nothing comes through, though connections stay open.
    pub(crate) fn mute(&self) {
        self.state.is_mute.store(true, Ordering::SeqCst);
    }

    /// Connections that were cut.
    pub(crate) fn cuts(&self) -> u32 {
        self.state.cuts.load(Ordering::SeqCst)
    }

    /// A world in which every address leads here.
    pub(crate) fn world(&self) -> World {
        World { net: Arc::new(Detour(self.address)), ..super::world() }
    }
}

async fn pass(client: TcpStream, server: TcpStream, state: Arc<State>) {
    let mut cut = state.cut.subscribe();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = pass_on(&mut from_client, &mut to_server, &state);
    let answers = pass_on(&mut from_server, &mut to_client, &state);
    tokio::select! {
        biased;
        _ = cut.changed() => {
            state.cuts.fetch_add(1, Ordering::SeqCst);
        }
        _ = requests => {}
        _ = answers => {}
    }
}

async fn pass_on(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    state: &State,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        if !state.is_mute.load(Ordering::SeqCst) {
            to.write_all(&buffer[..count]).await?;
        }
    }
}

struct Detour(SocketAddr);

type Boxed<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

impl Net for Detour {
    fn connect<'a>(&'a self, _: &'a str, _: u16) -> Boxed<'a, Arc<dyn Conn>> {
        Box::pin(async move { RealNet.connect("127.0.0.1", self.0.port()).await })
    }

    fn listen<'a>(&'a self, host: &'a str, port: u16) -> Boxed<'a, Box<dyn Listener>> {
        RealNet.listen(host, port)
    }
}
