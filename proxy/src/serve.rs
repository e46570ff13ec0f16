//! The listener: timers against slow clients, and a stop that loses no request.

use std::error::Error;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, HEADER_TIMEOUT, STOP_TIMEOUT};
use crate::router::build_router;
use crate::state::AppState;

/// Serves until SIGTERM or SIGINT.
pub async fn run(config: Config) -> Result<(), Box<dyn Error + Send + Sync>> {
    let drain = Duration::from_secs(config.drain_seconds.into());
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
    let state = AppState::connect(config)?;
    let mut signals = Signals::new()?;
    tracing::info!(address = %listener.local_addr()?, version = env!("CARGO_PKG_VERSION"), "listening");

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
    drop(listener);
    tracing::info!(connections = connections.count(), "waiting for requests in flight");
    tokio::select! {
        () = connections.shutdown() => tracing::info!("stopped"),
        () = tokio::time::sleep(STOP_TIMEOUT.saturating_sub(drain)) => tracing::warn!("stopped with requests in flight"),
        () = signals.recv() => tracing::warn!("stopped at once by a second signal"),
    }
    Ok(())
}

async fn accept(listener: &TcpListener, router: &axum::Router, connections: &GracefulShutdown) {
    let mut server = Builder::new(TokioExecutor::new());
    // Without a timer, hyper waits for ever for the rest of a header.
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .keep_alive_timeout(HEADER_TIMEOUT)
        .max_concurrent_streams(128);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, say: wait for connections to end instead of spinning.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = server.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
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
