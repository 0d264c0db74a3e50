// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"net"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/systemd"
)

// framesSocket is FileDescriptorName in visavis-frames.socket.
const framesSocket = "frames"

// listeners are where others come in.
type listeners struct {
	page, grpc net.Listener // grpc is nil when gateway.grpc_listen is ""
	workers    *net.UnixListener
}

// listen takes every address before anything else begins: where one is taken, no camera was opened and nobody was greeted.
func (a *Appliance) listen(ctx context.Context) (at listeners, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, at.close())
		}
	}()
	if at.page, err = a.web.Listen(ctx); err != nil {
		return at, err
	}
	at.page = a.proxies.Listener(at.page)
	if a.grpc != nil {
		if at.grpc, err = a.grpc.Listen(ctx); err != nil {
			return at, err
		}
		at.grpc = a.proxies.Listener(at.grpc)
	}
	at.workers, err = workersDoor(a.config.Worker.Socket)
	return at, err
}

func (l listeners) close() error {
	var failed error
	if l.page != nil {
		failed = l.page.Close()
	}
	if l.grpc != nil {
		failed = errors.Join(failed, l.grpc.Close())
	}
	if l.workers != nil {
		failed = errors.Join(failed, l.workers.Close())
	}
	return failed
}

// workersDoor is where workers connect: the socket that systemd keeps open for us, or one of our own.
func workersDoor(path string) (*net.UnixListener, error) {
	listener, err := systemd.Listener(framesSocket)
	if err != nil || listener != nil {
		return listener, err
	}
	return dispatch.ListenUnix(path)
}
