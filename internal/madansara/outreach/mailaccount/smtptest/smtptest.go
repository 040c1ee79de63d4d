// Package smtptest is a mail server for tests as strict as a provider's: it takes mail
// only from who has logged in, knows several accounts, and offers log-in over TLS alone
// unless a test says otherwise.
package smtptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	smtp "github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
)

// Security is how connections are protected.
type Security int

// The ways.
const (
	StartTLS Security = iota
	TLS               // from the first byte
	None
)

// Mail is a message that was taken.
type Mail struct {
	User     string // who had logged in
	From, To string // of the envelope
	Data     string
}

// Server is a mail server on this machine.
type Server struct {
	Host, Port string
	Roots      *x509.CertPool // that know its certificate

	mu          sync.Mutex
	passwords   map[string]string
	open        bool
	refusal     error
	mails       []Mail
	logIns      []string // users let in, in order
	refused     []string // users not let in
	connections int
}

// New returns a server that nobody can log in to yet.
func New(t testing.TB, security Security) *Server {
	t.Helper()
	s := &Server{passwords: map[string]string{}, refusal: smtp.ErrAuthFailed}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.connections++
		return &session{server: s}, nil
	}))
	server.Domain, server.EnableSMTPUTF8, server.ErrorLog = "smtp.test", true, silent{}
	server.AllowInsecureAuth = security == None
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.Host, s.Port, err = net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	serving := listener
	if security != None {
		var certificate tls.Certificate
		certificate, s.Roots = selfSigned(t)
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		if security == TLS {
			serving = tls.NewListener(listener, server.TLSConfig)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(serving)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		_ = listener.Close() // a server that is closed before it serves would serve on
		<-done
	})
	return s
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// Account lets user in with password from now on; an empty one closes the account.
func (s *Server) Account(user, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passwords[user] = password
}

// Open takes mail from now on from who has not logged in too, as a relay of one's own does.
func (s *Server) Open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = true
}

// RefuseWith is what whoever is not let in is answered.
func (s *Server) RefuseWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = err
}

// Mails returns what was taken, in order.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// LogIns returns who was let in, and who was not, each in order.
func (s *Server) LogIns() (let, refused []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.logIns), slices.Clone(s.refused)
}

// Connections is how many there were.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connections
}

type session struct {
	server         *Server
	user, from, to string
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		if known := s.server.passwords[user]; known == "" || known != password {
			s.server.refused = append(s.server.refused, user)
			return s.server.refusal
		}
		s.user, s.server.logIns = user, append(s.server.logIns, user)
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.user == "" && !s.server.open {
		return &smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Authentication required"}
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return nil
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, Mail{User: s.user, From: s.from, To: s.to, Data: string(data)})
	return nil
}

func (s *session) Reset()        { s.from, s.to = "", "" }
func (s *session) Logout() error { return nil }

func selfSigned(t testing.TB) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"smtp.test"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
