//! The addresses of the control servers: the same variables in every mode.
//!
//! | variable | default |
//! |---|---|
//! | `GRPC_PORT`, alias `DBMAZZ_CONTROL_PORT` | 50051 |
//! | `GRPC_HOST` | 127.0.0.1; in a pod every address |
//! | `HTTP_API_PORT` | 8080 |
//! | `HTTP_API_HOST` | 127.0.0.1; in a pod every address |
//! | `DBMAZZ_CONTROL_TOKEN`, or `DBMAZZ_CONTROL_TOKEN_FILE` | none; in a pod a file that the operator mounts |
//!
//! A command can end the job and drop its slot. A standalone worker therefore listens on loopback unless a variable
//! says otherwise, for each server by itself: metrics can be public while control is not. With a token every command
//! needs it; without one a server on any other address is read only. In a pod probes come from outside, and HTTP is
//! read only: commands come over gRPC, with the token.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{ConfigError, ControlToken, ListenConfig, limits};

/// On loopback unless a variable names another address; commands over HTTP too.
pub(super) fn standalone(vars: &impl Fn(&str) -> Option<String>) -> Result<ListenConfig, ConfigError> {
    read(vars, Ipv4Addr::LOCALHOST.into(), true)
}

/// On every address; commands over gRPC only.
pub(super) fn in_a_pod(vars: &impl Fn(&str) -> Option<String>) -> Result<ListenConfig, ConfigError> {
    read(vars, Ipv4Addr::UNSPECIFIED.into(), false)
}

fn read(
    vars: &impl Fn(&str) -> Option<String>,
    unless_told: IpAddr,
    http_commands: bool,
) -> Result<ListenConfig, ConfigError> {
    let grpc = SocketAddr::new(host(vars, "GRPC_HOST", unless_told)?, grpc_port(vars)?);
    let http_port = port(vars, "HTTP_API_PORT")?.unwrap_or(8080);
    let http = SocketAddr::new(host(vars, "HTTP_API_HOST", unless_told)?, http_port);
    if grpc.port() == http.port() && grpc.port() != 0 {
        return Err(ConfigError::new("HTTP_API_PORT", "must differ from GRPC_PORT"));
    }
    Ok(ListenConfig { grpc, http, http_commands, token: ControlToken::named(vars)? })
}

fn grpc_port(vars: &impl Fn(&str) -> Option<String>) -> Result<u16, ConfigError> {
    match (port(vars, "GRPC_PORT")?, port(vars, "DBMAZZ_CONTROL_PORT")?) {
        (Some(port), Some(alias)) if port != alias => {
            Err(ConfigError::new("DBMAZZ_CONTROL_PORT", "is another name of GRPC_PORT and must equal it"))
        }
        (port, alias) => Ok(port.or(alias).unwrap_or(50051)),
    }
}

fn port(vars: &impl Fn(&str) -> Option<String>, variable: &str) -> Result<Option<u16>, ConfigError> {
    let text = vars(variable).filter(|text| !text.is_empty());
    text.map(|text| limits::number(variable, &text, 0..=u16::MAX)).transpose()
}

fn host(
    vars: &impl Fn(&str) -> Option<String>,
    variable: &str,
    unless_told: IpAddr,
) -> Result<IpAddr, ConfigError> {
    let Some(text) = vars(variable).filter(|text| !text.is_empty()) else { return Ok(unless_told) };
    let problem = "must be an address of this machine, such as 127.0.0.1, 0.0.0.0 or ::";
    text.trim().parse().map_err(|_| ConfigError::new(variable, problem))
}
