package qdranttest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Options say what the server is like. The zero Options are an open server of a current version.
type Options struct {
	APIKey  string      // required of every call; "" for none
	TLS     *tls.Config // with a certificate; nil for none
	Version string      // "" is 1.17.1
	// Observe, when set, sees every request that passed the checks. An error of it is the answer:
	// a status error as it is.
	Observe func(method string, request proto.Message) error
}

// Server is a running server.
type Server struct {
	// URL is one that names the port before the gRPC port, as a REST URL does.
	URL string

	pb.UnimplementedQdrantServer

	opts        Options
	mu          sync.RWMutex
	collections map[string]*collection
	operations  uint64
}

// Start starts a server on a free loopback port, until the test ends.
func Start(tb testing.TB, opts Options) *Server {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen: %v", err)
	}
	if opts.Version == "" {
		opts.Version = "1.17.1"
	}
	s := &Server{opts: opts, collections: map[string]*collection{}}
	scheme := "http"
	options := []grpc.ServerOption{
		grpc.UnaryInterceptor(s.intercept), grpc.MaxRecvMsgSize(64 << 20),
		// The client pings each connection every ten seconds.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	}
	if opts.TLS != nil {
		scheme = "https"
		options = append(options, grpc.Creds(credentials.NewTLS(opts.TLS)))
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		tb.Fatalf("no TCP address: %v", listener.Addr())
	}
	s.URL = fmt.Sprintf("%s://127.0.0.1:%d", scheme, address.Port-1)
	server := grpc.NewServer(options...)
	pb.RegisterQdrantServer(server, s)
	pb.RegisterCollectionsServer(server, &collectionsService{s: s})
	pb.RegisterPointsServer(server, &pointsService{s: s})
	finished := make(chan error, 1)
	go func() { finished <- server.Serve(listener) }()
	tb.Cleanup(func() {
		server.Stop()
		if err := <-finished; err != nil {
			tb.Errorf("contract server: %v", err)
		}
	})
	return s
}

func (s *Server) intercept(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if s.opts.APIKey != "" {
		md, _ := metadata.FromIncomingContext(ctx)
		switch keys := md.Get("api-key"); {
		case len(keys) == 0:
			return nil, status.Error(codes.Unauthenticated, "Must provide an API key or an Authorization bearer token")
		case keys[0] != s.opts.APIKey:
			return nil, status.Error(codes.Unauthenticated, "Invalid API key or JWT")
		}
	}
	message, ok := request.(proto.Message)
	if !ok {
		return nil, status.Error(codes.Internal, "no protobuf message")
	}
	if err := checkModelled(message.ProtoReflect()); err != nil {
		return nil, err
	}
	if s.opts.Observe != nil {
		if err := s.opts.Observe(info.FullMethod, message); err != nil {
			return nil, err
		}
	}
	return handler(ctx, request)
}

// HealthCheck tells the version.
func (s *Server) HealthCheck(context.Context, *pb.HealthCheckRequest) (*pb.HealthCheckReply, error) {
	return &pb.HealthCheckReply{Title: "qdrant - contract server for tests", Version: s.opts.Version}, nil
}

// named returns a collection. The caller holds the lock.
func (s *Server) named(name string) (*collection, error) {
	c, ok := s.collections[name]
	if !ok {
		return nil, status.Errorf(codes.NotFound, "Not found: Collection `%s` doesn't exist!", name)
	}
	return c, nil
}

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}
