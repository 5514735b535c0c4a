//! Sessions on threads, over loopback.

mod support;

mod closing;
mod streams;
