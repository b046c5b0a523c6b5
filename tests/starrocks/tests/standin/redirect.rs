//! The first hop, compared byte by byte.

use starrocks_standin::{Action, Fault, Options, Profile, Stage};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::bed::{Bed, ROOT, exchange, read_answer};

fn put(headers: &str) -> String {
    format!("PUT /api/d/t/_stream_load HTTP/1.1\r\nHost: fe\r\n{ROOT}\r\n{headers}Content-Length: 0\r\n\r\n")
}

#[tokio::test]
async fn s01_the_first_hop_redirects_from_the_head_alone() {
    let bed = Bed::start().await;
    let answer = bed.fe(&put("Expect: 100-continue\r\n")).await;
    let location = format!("http://127.0.0.1:{}/api/d/t/_stream_load", bed.standin.be_port());
    assert_eq!((answer.status, answer.header("location")), (307, Some(location)));
    assert!(answer.closed);
    assert_eq!(bed.standin.stats().fe_body_bytes, 0);
}

#[tokio::test]
async fn s01_bytes_pushed_at_the_frontend_are_counted() {
    let bed = Bed::start().await;
    let request = put("Expect: 100-continue\r\n").replace("Length: 0", "Length: 5") + "12345";
    let mut stream = TcpStream::connect(("127.0.0.1", bed.standin.fe_port())).await.expect("listens");
    stream.write_all(request.as_bytes()).await.expect("taken");
    assert_eq!(read_answer(&mut stream).await.status, 307);
    stream.shutdown().await.expect("ends");
    while bed.standin.stats().fe_body_bytes != 5 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn s03_a_load_without_expect_is_refused() {
    let bed = Bed::start().await;
    let answer = bed.fe(&put("")).await;
    let expected = "{\n  \"Status\": \"FAILED\",\n  \"Message\": \"class com.starrocks.common.DdlException: There is no \
                    100-continue header\"\n}";
    assert_eq!((answer.status, answer.body.as_str(), answer.closed), (200, expected, true));
}

#[tokio::test]
async fn s03_http_1_0_needs_no_expect_from_3_3_on() {
    for (profile, status) in [(Profile::V3_2, 200), (Profile::V3_3, 307)] {
        let bed = Bed::of(profile).await;
        assert_eq!(bed.fe(&put("").replace("HTTP/1.1", "HTTP/1.0")).await.status, status, "{profile}");
    }
}

#[tokio::test]
async fn s02_the_backend_answers_a_wrong_password_with_200() {
    let bed = Bed::with_table("id BIGINT NOT NULL").await;
    let request = put("Expect: 100-continue\r\n").replace("cm9vdDo=", "cm9vdDp6");
    let answer = bed.be(&request).await;
    assert_eq!((answer.status, answer.field("Status")), (200, "Fail".into()));
    assert_eq!(answer.field("Message"), "Access denied for user 'root' (using password: YES)");
    let answer = bed.be(&request.replace("cm9vdDp6", "Y2RjOnB3")).await;
    assert!(answer.field("Message").contains("INSERT privilege(s)"));
}

#[tokio::test]
async fn s02_a_user_without_insert_gets_401_where_the_table_exists() {
    let bed = Bed::with_table("id BIGINT NOT NULL").await;
    let request = put("Expect: 100-continue\r\n").replace("cm9vdDo=", "Y2RjOnB3");
    let answer = bed.fe(&request).await;
    assert_eq!(answer.status, 401);
    assert!(
        answer.body.contains("Access denied for user \\u0027cdc\\u0027@\\u0027%\\u0027."),
        "{}",
        answer.body
    );
    assert_eq!(bed.fe(&request.replace("/t/", "/unknown/")).await.status, 307);
}

#[tokio::test]
async fn s05_the_redirect_goes_where_it_is_told() {
    let bed = Bed::with(Options { advertise: "be.example".to_owned(), ..Options::default() }).await;
    let answer = bed.fe(&put("Expect: 100-continue\r\n")).await;
    assert!(answer.header("location").expect("a location").starts_with("http://be.example:"));
    bed.standin.inject(Fault::once(Stage::Redirect, Action::RedirectTo { address: "10.0.0.9:1".into() }));
    let answer = bed.fe(&put("Expect: 100-continue\r\n")).await;
    assert_eq!(answer.header("location").as_deref(), Some("http://10.0.0.9:1/api/d/t/_stream_load"));
}

#[tokio::test]
async fn s20_names_in_the_path_are_escaped_by_version() {
    let request = put("Expect: 100-continue\r\n").replace("/d/t/", "/d%2Fe/t%20%25/");
    for (profile, path) in [(Profile::V3_5, "/api/d/e/t%20%25/"), (Profile::V4_0, "/api/d%2Fe/t%20%25/")] {
        let bed = Bed::of(profile).await;
        let location = bed.fe(&request).await.header("location").expect("a location");
        assert!(location.contains(path), "{profile}: {location}");
    }
}

#[tokio::test]
async fn s20_the_backend_decodes_names_from_4_0_on() {
    for (profile, status) in [(Profile::V3_5, "Fail"), (Profile::V4_0, "Success")] {
        let bed = Bed::of(profile).await;
        bed.create("id BIGINT NOT NULL").await;
        let answer = bed.load_into("d/%74", "", r#"{"id":1}"#).await;
        // A 3.5 FE decodes the name before it redirects; here the BE receives the raw path.
        assert_eq!(answer.field("Status"), status, "{profile}: {}", answer.body);
    }
}

#[tokio::test]
async fn s06_the_frontend_limits_the_head() {
    let bed = Bed::start().await;
    let header = format!("Expect: 100-continue\r\ncolumns: {}\r\n", "c".repeat(33_000));
    assert_eq!(bed.fe(&put(&header)).await.status, 404);
    let line = put("").replace("/t/", &format!("/{}/", "t".repeat(5000)));
    assert_eq!(bed.fe(&line).await.status, 404);
}

#[tokio::test]
async fn s04_the_backend_answers_instead_of_100_when_something_is_wrong() {
    let bed = Bed::start().await;
    let request = put("Expect: 100-continue\r\n").replace("Length: 0", "Length: 9");
    let answer = bed.be(&request).await;
    assert_eq!((answer.status, answer.field("Message")), (200, "unknown database, database=d".into()));
    assert!(answer.closed);
}

#[tokio::test]
async fn hostile_bytes_end_the_connection_and_nothing_else() {
    let bed = Bed::start().await;
    let garbage: Vec<u8> = (0..50_000u32).map(|number| (number * 31 % 256) as u8).collect();
    for port in
        [bed.standin.fe_port(), bed.standin.be_port(), bed.standin.sql_port(), bed.standin.admin_port()]
    {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("listens");
        let _ = stream.write_all(&garbage).await;
        let _ = stream.shutdown().await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    assert_eq!(exchange(bed.standin.fe_port(), b"GET /api/health HTTP/1.1\r\n\r\n").await.status, 200);
    bed.run("SELECT 1").await;
}
