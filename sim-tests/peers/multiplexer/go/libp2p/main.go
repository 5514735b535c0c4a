// libp2p/go-yamux as a peer.
package main

import (
	"context"
	"net"

	"github.com/libp2p/go-yamux/v5"
	"wavetank/peers/peer"
)

type stream struct{ *yamux.Stream }

func (s stream) FullClose() error { return s.Close() }

type session struct{ *yamux.Session }

func (s session) Open() (peer.Stream, error) {
	opened, err := s.OpenStream(context.Background())
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
		config.MaxIncomingStreams = 2000
		if server {
			started, err := yamux.Server(conn, config, nil)
			return session{started}, err
		}
		started, err := yamux.Client(conn, config, nil)
		return session{started}, err
	})
}
