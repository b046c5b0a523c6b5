//! The stand-in as clients meet it: raw HTTP, a MySQL driver, curl.
