// Package peer is a program for tests against other implementations of yamux: one TCP connection, one session, one scenario.
//
//	peer (--listen|--connect) HOST:PORT --scenario NAME
//
// Each line of standard output is a JSON object; the last one is {"event":"done","ok":BOOL,"reason":TEXT}. The exit code is 0 if
// the scenario went as expected, 1 if not, and 2 for bad arguments. After 40 s it gives up.
package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Stream is a stream of the implementation under test. FullClose is its usual way to be done with both directions.
type Stream interface {
	io.ReadWriter
	CloseWrite() error
	FullClose() error
}

// Session is a session of the implementation under test.
type Session interface {
	Open() (Stream, error)
	Accept() (Stream, error)
	Close() error
	Closed() <-chan struct{}
}

const (
	kib      = 1024
	mib      = 1024 * kib
	message  = 100 * kib
	patience = 10 * time.Second
	lifeMax  = 40 * time.Second
)

var output sync.Mutex

func print(event map[string]any) {
	output.Lock()
	defer output.Unlock()
	line, _ := json.Marshal(event)
	fmt.Println(string(line))
}

func done(err error) {
	reason := "as expected"
	if err != nil {
		reason = err.Error()
	}
	print(map[string]any{"event": "done", "ok": err == nil, "reason": reason})
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// Main runs the program. start makes a session over a connection.
func Main(start func(conn net.Conn, server bool) (Session, error)) {
	listens, address, scenario := arguments()
	time.AfterFunc(lifeMax, func() { done(errors.New("40 s are over")) })
	var conn net.Conn
	var err error
	if listens {
		listener, failed := net.Listen("tcp", address)
		if failed != nil {
			done(failed)
		}
		print(map[string]any{"event": "listening", "addr": listener.Addr().String()})
		conn, err = listener.Accept()
	} else {
		conn, err = net.Dial("tcp", address)
	}
	if err != nil {
		done(err)
	}
	session, err := start(conn, listens)
	if err != nil {
		done(err)
	}
	if listens {
		done(listen(session, scenario))
	}
	done(connect(session, scenario))
}

func arguments() (listens bool, address, scenario string) {
	fail := func(text string) {
		fmt.Fprintln(os.Stderr, text)
		os.Exit(2)
	}
	for at := 1; at < len(os.Args); at += 2 {
		if at+1 == len(os.Args) {
			fail(os.Args[at] + " needs a value")
		}
		switch os.Args[at] {
		case "--listen", "--connect":
			listens, address = os.Args[at] == "--listen", os.Args[at+1]
		case "--scenario":
			scenario = os.Args[at+1]
		default:
			fail("unexpected argument " + os.Args[at])
		}
	}
	if address == "" || scenario == "" {
		fail("usage: peer (--listen|--connect) HOST:PORT --scenario NAME")
	}
	return listens, address, scenario
}

// connect is what the side does that has connected.
func connect(session Session, scenario string) error {
	switch scenario {
	case "echo":
		return then(askEcho(session), session)
	case "reverse-echo":
		return serveEcho(session)
	case "sink":
		stream, err := session.Open()
		if err != nil {
			return err
		}
		if err := write(stream, 0, 0, mib, 64*kib); err != nil {
			return err
		}
		if err := stream.CloseWrite(); err != nil {
			return err
		}
		return wait(session)
	case "source":
		stream, err := session.Open()
		if err != nil {
			return err
		}
		if _, err := stream.Write([]byte("G")); err != nil {
			return err
		}
		return then(readAll(stream, 0, mib), session)
	case "half-close":
		stream, err := session.Open()
		if err != nil {
			return err
		}
		if err := write(stream, 0, 0, kib, kib); err != nil {
			return err
		}
		if err := stream.CloseWrite(); err != nil {
			return err
		}
		return then(readAll(stream, 1, 100*kib), session)
	case "open-many":
		return then(openMany(session), session)
	case "slow-reader":
		return then(readSlowly(session), session)
	case "issue-133":
		return then(writeToOneThatLeaves(session, 10), session)
	case "issue-133-long":
		return then(writeToOneThatLeaves(session, 320), session)
	}
	return errors.New("there is no scenario " + scenario)
}

// listen is what the side does that has listened.
func listen(session Session, scenario string) error {
	switch scenario {
	case "echo", "open-many", "slow-reader":
		return serveEcho(session)
	case "reverse-echo":
		return then(askEcho(session), session)
	}
	stream, err := session.Accept()
	if err != nil {
		return err
	}
	switch scenario {
	case "sink":
		if err := readAll(stream, 0, mib); err != nil {
			return err
		}
		if err := stream.FullClose(); err != nil {
			return err
		}
		return session.Close()
	case "source":
		if _, err := io.ReadFull(stream, make([]byte, 1)); err != nil {
			return err
		}
		if err := write(stream, 0, 0, mib, 64*kib); err != nil {
			return err
		}
		if err := stream.CloseWrite(); err != nil {
			return err
		}
		return wait(session)
	case "half-close":
		if err := readAll(stream, 0, kib); err != nil {
			return err
		}
		if err := write(stream, 1, 0, 100*kib, 64*kib); err != nil {
			return err
		}
		if err := stream.CloseWrite(); err != nil {
			return err
		}
		return wait(session)
	case "issue-133", "issue-133-long":
		if err := read(stream, 0, 0, 5*message); err != nil {
			return err
		}
		if err := stream.FullClose(); err != nil {
			return err
		}
		return serveEcho(session)
	}
	return errors.New("there is no scenario " + scenario)
}

func then(err error, session Session) error {
	if err == nil {
		session.Close()
	}
	return err
}

func wait(session Session) error {
	select {
	case <-session.Closed():
		return nil
	case <-time.After(patience):
		return errors.New("the other side did not end the session")
	}
}

// serveEcho sends back what comes on every stream, until the session ends.
func serveEcho(session Session) error {
	for {
		stream, err := session.Accept()
		if err != nil {
			return nil
		}
		go func() {
			io.Copy(stream, stream)
			stream.CloseWrite()
		}()
	}
}

func all(count int, task func(number int) error) error {
	results := make(chan error, count)
	for number := range count {
		go func() { results <- task(number) }()
	}
	for range count {
		if err := <-results; err != nil {
			return err
		}
	}
	return nil
}

func askEcho(session Session) error {
	return all(3, func(seed int) error {
		stream, err := session.Open()
		if err != nil {
			return err
		}
		writing := make(chan error, 1)
		go func() {
			err := write(stream, seed, 0, mib, 64*kib)
			if err == nil {
				err = stream.CloseWrite()
			}
			writing <- err
		}()
		if err := readAll(stream, seed, mib); err != nil {
			return err
		}
		return <-writing
	})
}

func openMany(session Session) error {
	const streams = 1000
	var haveIt sync.WaitGroup
	haveIt.Add(streams)
	return all(streams, func(seed int) error {
		stream, err := session.Open()
		if err == nil {
			err = write(stream, seed, 0, kib, kib)
		}
		if err == nil {
			err = read(stream, seed, 0, kib)
		}
		haveIt.Done()
		if err != nil {
			return err
		}
		haveIt.Wait()
		if err := stream.CloseWrite(); err != nil {
			return err
		}
		return end(stream)
	})
}

func readSlowly(session Session) error {
	first, err := session.Open()
	if err != nil {
		return err
	}
	writing := make(chan error, 1)
	go func() {
		err := write(first, 0, 0, mib, 64*kib)
		if err == nil {
			err = first.CloseWrite()
		}
		writing <- err
	}()
	time.Sleep(500 * time.Millisecond)
	second, err := session.Open()
	if err != nil {
		return err
	}
	trips := make(chan error, 1)
	go func() {
		for round := range 200 {
			if err := write(second, 1, round*kib, (round+1)*kib, kib); err != nil {
				trips <- err
				return
			}
			if err := read(second, 1, round*kib, (round+1)*kib); err != nil {
				trips <- err
				return
			}
		}
		trips <- nil
	}()
	select {
	case err := <-trips:
		if err != nil {
			return err
		}
	case <-time.After(3 * time.Second):
		return errors.New("200 round trips beside a stream that is not read took over 3 s")
	}
	time.Sleep(time.Second)
	if err := readAll(first, 0, mib); err != nil {
		return err
	}
	if err := <-writing; err != nil {
		return err
	}
	if err := second.CloseWrite(); err != nil {
		return err
	}
	return end(second)
}

func writeToOneThatLeaves(session Session, messages int) error {
	stream, err := session.Open()
	if err != nil {
		return err
	}
	writing := make(chan struct{})
	go func() {
		if write(stream, 0, 0, messages*message, message) == nil {
			stream.CloseWrite()
		}
		close(writing)
	}()
	var blocked error
	select {
	case <-writing:
	case <-time.After(patience):
		blocked = errors.New("the writer was blocked for 10 s")
	}
	second, err := session.Open()
	if err == nil {
		err = write(second, 1, 0, kib, kib)
	}
	if err == nil {
		err = read(second, 1, 0, kib)
	}
	print(map[string]any{"event": "second-stream", "ok": err == nil})
	if blocked != nil {
		return blocked
	}
	return err
}

func at(seed, offset int) byte {
	return byte(offset + offset>>8 + offset>>16 + 13*seed)
}

func write(stream io.Writer, seed, begin, end, piece int) error {
	buffer := make([]byte, piece)
	for offset := begin; offset < end; {
		count := min(piece, end-offset)
		for index := range count {
			buffer[index] = at(seed, offset+index)
		}
		if _, err := stream.Write(buffer[:count]); err != nil {
			return err
		}
		offset += count
	}
	return nil
}

func read(stream io.Reader, seed, begin, end int) error {
	buffer := make([]byte, 64*kib)
	for offset := begin; offset < end; {
		count, err := stream.Read(buffer[:min(len(buffer), end-offset)])
		for index := range count {
			if buffer[index] != at(seed, offset+index) {
				return fmt.Errorf("body %d is wrong at %d", seed, offset+index)
			}
		}
		offset += count
		if err != nil && offset < end {
			return fmt.Errorf("body %d ends at %d, and not at %d: %w", seed, offset, end, err)
		}
	}
	return nil
}

func end(stream io.Reader) error {
	count, err := stream.Read(make([]byte, 1))
	if count == 0 && err == io.EOF {
		return nil
	}
	return fmt.Errorf("no end, but %d bytes and %v", count, err)
}

func readAll(stream io.Reader, seed, length int) error {
	if err := read(stream, seed, 0, length); err != nil {
		return err
	}
	return end(stream)
}
