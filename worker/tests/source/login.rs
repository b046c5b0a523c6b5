use std::io::Write;

use crds::Reason;
use worker::{
    config::{Secret, TlsMode},
    postgres::prepare,
};

use crate::{
    follow::Follow,
    server::{Source, server},
};

#[test]
fn wrong_password_is_named() {
    let mut config = Source::new("wrong_password").config(&["orders"]);
    config.password = Secret::new("wrong");
    let fault = prepare(&config, &[]).unwrap_err();
    assert_eq!(fault.reason, Reason::SourceAuthenticationFailed);
    assert!(!fault.to_string().contains("wrong\""), "{fault}");
}

#[test]
fn what_cannot_be_reached_is_named() {
    let source = Source::new("unreachable");
    let mut config = source.config(&["orders"]);
    config.database = "absent".into();
    assert_eq!(prepare(&config, &[]).unwrap_err().reason, Reason::SourceDatabaseMissing);
    config.port = 1;
    assert_eq!(prepare(&config, &[]).unwrap_err().reason, Reason::SourceUnreachable);
    config.host = "no-such-host.invalid".into();
    assert_eq!(prepare(&config, &[]).unwrap_err().reason, Reason::SourceUnreachable);
}

#[test]
fn a_role_without_replication_is_told_what_it_lacks() {
    let source = Source::new("no_replication");
    source.admin("CREATE ROLE plain LOGIN PASSWORD 'plain'");
    let mut config = source.config(&["orders"]);
    (config.user, config.password) = ("plain".into(), Secret::new("plain"));
    let fault = prepare(&config, &[]).unwrap_err();
    assert_eq!(fault.reason, Reason::SourcePermissionDenied);
    assert!(fault.fix.contains("ALTER ROLE \"plain\" REPLICATION"), "{fault}");
}

#[test]
fn scram_and_tls_verify_full_connect() {
    let source = Source::new("verify_full");
    let mut config = source.config(&["orders"]);
    let mut authority = tempfile::NamedTempFile::new().unwrap();
    authority.write_all(server().ca_certificate().unwrap().as_bytes()).unwrap();
    config.tls.ca_file = Some(authority.path().to_owned());
    for mode in [TlsMode::Require, TlsMode::VerifyCA, TlsMode::VerifyFull] {
        config.tls.mode = mode;
        prepare(&config, &[]).unwrap();
    }
    let mut follow = Follow::start(&config);
    source.sql("INSERT INTO orders SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i");
    follow.until_seen(20_000);
    let ssl = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_replication USING (pid) \
               WHERE ssl AND application_name = 'dbmazz verify_full'";
    assert_eq!(source.admin(ssl), "1");
    follow.drain();
}

#[test]
fn a_certificate_of_somebody_else_is_refused() {
    let source = Source::new("foreign_authority");
    let mut config = source.config(&["orders"]);
    config.tls.mode = TlsMode::VerifyFull;
    assert_eq!(prepare(&config, &[]).unwrap_err().reason, Reason::SourceTlsFailed);
    let mut authority = tempfile::NamedTempFile::new().unwrap();
    let foreign = testbed::certificate::Authority::new("somebody else").unwrap();
    authority.write_all(foreign.certificate.as_bytes()).unwrap();
    config.tls.ca_file = Some(authority.path().to_owned());
    for mode in [TlsMode::VerifyCA, TlsMode::VerifyFull] {
        config.tls.mode = mode;
        assert_eq!(prepare(&config, &[]).unwrap_err().reason, Reason::SourceTlsFailed);
    }
    authority.as_file().set_len(0).unwrap();
    assert_eq!(prepare(&config, &[]).unwrap_err().reason, Reason::SourceTlsFailed);
}

#[test]
fn only_verify_full_minds_the_name() {
    let source = Source::new("other_name");
    let mut config = source.config(&["orders"]);
    let mut authority = tempfile::NamedTempFile::new().unwrap();
    authority.write_all(server().ca_certificate().unwrap().as_bytes()).unwrap();
    config.tls.ca_file = Some(authority.path().to_owned());
    // The same server, by an address that its certificate lacks.
    config.host = "0.0.0.0".into();
    config.tls.mode = TlsMode::VerifyCA;
    prepare(&config, &[]).unwrap();
    config.tls.mode = TlsMode::VerifyFull;
    assert_eq!(prepare(&config, &[]).unwrap_err().reason, Reason::SourceTlsFailed);
}
