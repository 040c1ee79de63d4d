// Package wire speaks to Qdrant. It is the only package that holds the client, and
// its point operations exist on a [Tenant] only: each adds that tenant's
// condition itself, so that no caller can forget it.
package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/engardehq/madansara/zerodb"
)

// Config is where Qdrant is and how to speak to it.
type Config struct {
	Host    string
	Port    int
	APIKey  string
	UseTLS  bool
	TLS     *tls.Config   // nil: the system's roots, TLS 1.3
	Timeout time.Duration // of one attempt
}

// Conn is a connection to one Qdrant. It is safe for concurrent use.
type Conn struct {
	client  *pb.Client
	timeout time.Duration
	checked atomic.Bool // the version was found good
}

// maxAnswer bounds an answer: a page of memories, each at its largest, stays far below it.
const maxAnswer = 256 << 20

// Dial prepares the connection; it does not wait for the server.
func Dial(cfg Config) (*Conn, error) {
	options := []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer))}
	if cfg.APIKey != "" {
		// Not the client's own setting, which warns on every connection that has no TLS, a
		// private network's too: where a key may go is decided before this.
		options = append(options, grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(metadata.AppendToOutgoingContext(ctx, "api-key", cfg.APIKey), method, request, reply, conn, opts...)
		}))
	}
	client, err := pb.NewClient(&pb.Config{
		Host: cfg.Host, Port: cfg.Port, UseTLS: cfg.UseTLS, TLSConfig: cfg.TLS,
		// The client's own check asks the server at once, waits up to a minute and
		// only logs; Conn checks before the first call and refuses.
		SkipCompatibilityCheck: true,
		GrpcOptions:            options,
	})
	if err != nil {
		return nil, fmt.Errorf("qdrant: %w", err)
	}
	return &Conn{client: client, timeout: cfg.Timeout}, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.client.Close() }

// attempts of one call. Every call may be repeated: reads change nothing, and writes
// either say the same again or are conditional on what they replace.
const attempts = 4

// call runs one call with a time limit for each attempt, and repeats it while the
// server is away or asks to come back later.
func call[T any](ctx context.Context, c *Conn, doing string, fn func(ctx context.Context) (T, error)) (T, error) {
	var answer T
	var err error
	for attempt := range attempts {
		if attempt > 0 {
			if !pause(ctx, retryAfter(err, attempt)) {
				break
			}
		}
		limited, cancel := context.WithTimeout(ctx, c.timeout)
		answer, err = fn(limited)
		cancel()
		if err == nil || ctx.Err() != nil || !retryable(err) {
			break
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return answer, context.Cause(ctx)
		}
		return answer, failure(err, doing)
	}
	return answer, nil
}

func retryable(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Aborted:
		return true
	default:
		var later *pb.QdrantResourceExhaustedError
		return errors.As(err, &later)
	}
}

// retryAfter is what the server asked for, at most two seconds, or 50 ms doubled with
// each attempt, with up to half of it at random.
func retryAfter(err error, attempt int) time.Duration {
	wait := 25 * time.Millisecond << attempt
	if later, ok := errors.AsType[*pb.QdrantResourceExhaustedError](err); ok {
		wait = min(time.Duration(later.RetryAfterS)*time.Second, 2*time.Second)
	}
	return wait + time.Duration(rand.Int64N(int64(wait)/2+1)) //nolint:gosec // spreads retries, hides nothing
}

// pause waits, and reports whether ctx still runs.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// failure makes an error of zerodb of what Qdrant answered, with what to do about it.
func failure(err error, doing string) error {
	message := "Qdrant could not " + doing
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied:
		message += ": it refuses the API key; set ZERODB_API_KEY to one that may read and write"
	case codes.NotFound:
		message += ": a collection is missing; create them with `madansara memory init`"
	case codes.Unavailable:
		message += ": it can't be reached; is ZERODB_URL right, and the gRPC port open?"
	case codes.DeadlineExceeded:
		message += " in time"
	case codes.InvalidArgument:
		if strings.Contains(err.Error(), "Index required") {
			message += ": an index is missing; create it with `madansara memory init`"
		}
	default:
	}
	return zerodb.Unavailable(err, message)
}

// IsWrongSize reports whether Qdrant refused a vector for its length: the collection
// has been made anew for another embedder.
func IsWrongSize(err error) bool {
	return status.Code(err) == codes.InvalidArgument && strings.Contains(err.Error(), "dimension error")
}

// Oldest is the oldest version that does what is asked of it: conditional
// upserts came with 1.16, and an older server would take them for unconditional ones.
const Oldest = "1.16.0"

// Check asks the server for its version and refuses one that is too old, or a
// major version that is not known.
func (c *Conn) Check(ctx context.Context) error {
	reply, err := call(ctx, c, "tell its version", func(ctx context.Context) (*pb.HealthCheckReply, error) {
		return c.client.HealthCheck(ctx)
	})
	if err != nil {
		return err
	}
	version, err := pb.ParseVersion(reply.GetVersion())
	if err != nil {
		return zerodb.Unavailable(err, fmt.Sprintf("the server at ZERODB_URL says it has version %.40q, which is none of Qdrant's", reply.GetVersion()))
	}
	if version.Major != 1 || version.Minor < 16 {
		return zerodb.Unavailable(nil, fmt.Sprintf("Qdrant has version %.40s: use %s or a later 1.x (it updates points on a condition, which an older one would leave out silently)", reply.GetVersion(), Oldest))
	}
	c.checked.Store(true)
	return nil
}

// ready checks the version before the first call of the process.
func (c *Conn) ready(ctx context.Context) error {
	if c.checked.Load() {
		return nil
	}
	return c.Check(ctx)
}
