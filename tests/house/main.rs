//! Integration tests: one binary. The real program, real sockets, real files.

mod administration;
mod archive;
mod authority;
mod carbons;
mod certificates;
mod client;
mod components;
mod depth;
mod faults;
mod files;
mod invites;
mod operate;
mod push;
mod restart;
mod rooms;
mod s3;
mod sasl2;
mod scene;
mod scram;
mod security;
mod server;
mod services;
mod streams;
mod tidy;
mod tls_profile;
mod web;
