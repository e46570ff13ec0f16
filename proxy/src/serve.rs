//! The listener: timers against slow clients, and a stop that loses no request.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Extension;
use futures_util::FutureExt;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tower::Layer;

use crate::account;
use crate::client::Peer;
use crate::config::{Config, HEADER_TIMEOUT, STOP_TIMEOUT};
use crate::embed;
use crate::router::build_router;
use crate::state::AppState;
use crate::worker;

/// How long the requests of new connections may be under way: a connection on which nothing has come yet counts as idle,
/// and is closed with all idle ones.
const SETTLE: Duration = Duration::from_millis(250);

/// Serves until SIGTERM or SIGINT.
pub async fn run(config: Config) -> Result<(), Box<dyn Error + Send + Sync>> {
    let drain = Duration::from_secs(config.drain_seconds.into());
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
    let state = AppState::connect(config)?;
    let mut signals = Signals::new()?;
    tracing::info!(address = %listener.local_addr()?, version = env!("CARGO_PKG_VERSION"), "listening");

    worker::start(&state);
    let keeper = tokio::spawn(embed::keep(state.clone()));
    let reporter = tokio::spawn(account::keep(state.clone()));
    let connections = GracefulShutdown::new();
    let router = build_router(state.clone());
    let stopping = async {
        signals.recv().await;
        tracing::info!("stopping: not ready any more");
        state.stop();
        tokio::select! {
            () = tokio::time::sleep(drain) => false,
            () = signals.recv() => true,
        }
    };
    let at_once = tokio::select! {
        () = accept(&listener, &router, &connections) => true,
        second_signal = stopping => second_signal,
    };
    if at_once {
        return Ok(());
    }
    // Clients whose connections wait in the listener's queue believe that they are connected.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        serve(stream, peer, &router, &connections);
    }
    drop(listener);
    tokio::time::sleep(SETTLE).await;
    tracing::info!(connections = connections.count(), "waiting for requests in flight");
    tokio::select! {
        () = connections.shutdown() => tracing::info!("stopped"),
        () = tokio::time::sleep(STOP_TIMEOUT.saturating_sub(drain + SETTLE)) => tracing::warn!("stopped with requests in flight"),
        () = signals.recv() => tracing::warn!("stopped at once by a second signal"),
    }
    state.workers().end().await;
    keeper.abort();
    reporter.abort();
    if let Err(error) = state.notes().report(&state).await {
        tracing::warn!(%error, "the last requests that were refused here are not counted");
    }
    if let Err(error) = state.cache().flush(&state).await {
        tracing::warn!(%error, "the last hits of the embedding cache are not counted");
    }
    Ok(())
}

async fn accept(listener: &TcpListener, router: &axum::Router, connections: &GracefulShutdown) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => serve(stream, peer, router, connections),
            Err(error) => {
                // Out of file descriptors, say: wait for connections to end instead of spinning.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves HTTP/1 on a connection. HTTP/2 without TLS is for proxies, which speak HTTP/1 as well; to tell the two apart
/// one must wait for the first bytes, and that wait has no timer.
fn serve(stream: TcpStream, peer: SocketAddr, router: &axum::Router, connections: &GracefulShutdown) {
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(Extension(Peer(peer.ip())).layer(router.clone()));
    let connection = Builder::new()
        // Without a timer, hyper waits for ever for the rest of a header.
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection ended early");
        }
    });
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
