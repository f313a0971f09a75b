//! Hostile clients over real sockets: each test is an item of the security checklist, sends what it names, and says what must
//! come of it. After every probe the canary sings: alice and bob have noticed nothing.
//!
//! The letters: A is XML and streams, B is TLS and authentication, C is identity and routing, D is extensions, E is federation.
//! What needs no socket to be tried (a scanner's linear work, a weak cipher) is tried beside the code: `core/xml/tests/security.rs`,
//! `net/tls/tests`, `engine/negotiate`.

mod archive;
mod authentication;
mod extensions;
mod federation;
mod identity;
mod xml;
