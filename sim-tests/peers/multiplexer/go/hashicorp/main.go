// hashicorp/yamux as a peer.
package main

import (
	"io"
	"net"

	"github.com/hashicorp/yamux"
	"wavetank/peers/peer"
)

type stream struct{ *yamux.Stream }

// Close sends FIN and leaves reading open: it is the half-close, and there is no other.
func (s stream) CloseWrite() error { return s.Close() }
func (s stream) FullClose() error  { return s.Close() }

type session struct{ *yamux.Session }

func (s session) Open() (peer.Stream, error) {
	opened, err := s.OpenStream()
	return stream{opened}, err
}

func (s session) Accept() (peer.Stream, error) {
	accepted, err := s.AcceptStream()
	return stream{accepted}, err
}

func (s session) Closed() <-chan struct{} { return s.CloseChan() }

func main() {
	peer.Main(func(conn net.Conn, server bool) (peer.Session, error) {
		config := yamux.DefaultConfig()
		config.LogOutput = io.Discard
		config.AcceptBacklog = 256
		start := yamux.Client
		if server {
			start = yamux.Server
		}
		started, err := start(conn, config)
		return session{started}, err
	})
}
