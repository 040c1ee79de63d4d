// Package kill_test kills the real program while it sends a campaign.
package kill_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/core/account"
	"github.com/engardehq/madansara/internal/dbtest"
)

// senders is how many mails of one campaign the program has in the air at once.
const senders = 4

// A campaign survives kill -9: everybody gets exactly one mail, but for those
// whose mail was in the air, about whom a person decides.
func TestACampaignSurvivesKill(t *testing.T) {
	t.Parallel()
	recipients, kills := 10_000, 4
	if testing.Short() {
		recipients, kills = 1_000, 1
	}
	mails := startSink(t)
	p := build(t, mails.address)
	tenant := p.tenant(t)
	template := p.seed(t, tenant, recipients)

	p.startCore(t)
	p.start(t)
	const rules = `{"all":[{"event":{"name":"Signed Up"}},{"not":{"conversion":{}}}]}`
	segment := p.call(t, http.MethodPost, "/api/v1/segments", `{"name":"Signed up, did not buy","rules":`+rules+`}`, http.StatusCreated)["segment_uuid"]
	campaign := p.call(t, http.MethodPost, "/api/v1/outreach/campaigns",
		fmt.Sprintf(`{"name":"Come back","segment_uuid":%q,"template_uuid":%q}`, segment, template), http.StatusCreated)["campaign_uuid"].(string)
	p.call(t, http.MethodPost, "/api/v1/outreach/campaigns/"+campaign+"/start", "", http.StatusOK)
	for kill := range kills {
		// At a random mail of the part that is this kill's.
		from := mails.count()
		mails.await(t, from+1+rand.IntN(max(1, (recipients-from)/(kills-kill+1))))
		p.kill(t)
		p.start(t)
	}
	// Told to stop, it ends in good order: nothing is left in the air.
	before := mails.count()
	mails.await(t, min(before+50, recipients))
	p.stop(t)
	p.start(t)
	status := p.awaitFinished(t, campaign)
	unknown, sent := status["unknown"], status["sent"]
	t.Logf("%d kills: %d mails accepted, %d recorded as sent, %d unknown", kills, mails.count(), sent, unknown)
	require.LessOrEqual(t, unknown, kills*senders)
	require.Equal(t, recipients, sent+unknown, status)
	require.Empty(t, mails.twice(), "accepted more than once")
	require.LessOrEqual(t, mails.count(), recipients)
	require.GreaterOrEqual(t, mails.count(), sent)

	// A person knows what the mail server's log says about each.
	list := p.call(t, http.MethodGet, "/api/v1/outreach/messages?status=unknown&limit=200&campaign_uuid="+campaign, "", http.StatusOK)
	messages := list["messages"].([]any)
	require.Len(t, messages, unknown)
	for _, m := range messages {
		message := m.(map[string]any)
		outcome := "resend"
		if mails.has(message["address"].(string)) {
			outcome = "sent"
		}
		path := "/api/v1/outreach/messages/" + message["message_uuid"].(string) + "/resolve"
		resolved := p.call(t, http.MethodPost, path, `{"outcome":"`+outcome+`"}`, http.StatusOK)
		require.NotEmpty(t, resolved["resolved_by"])
		p.call(t, http.MethodPost, path, `{"outcome":"resend"}`, http.StatusConflict)
	}
	require.Equal(t, recipients, p.awaitFinished(t, campaign)["sent"])
	require.Empty(t, mails.twice(), "accepted more than once")
	require.Equal(t, recipients, mails.count())
}

// program is the binary, its database and its process.
type program struct {
	binary, database, base, core, key string
	environ                           []string
	cmd                               *exec.Cmd
	ended                             *sync.Once
}

func build(t *testing.T, smtpAddress string) *program {
	t.Helper()
	host, smtpPort, err := net.SplitHostPort(smtpAddress)
	require.NoError(t, err)
	port, corePort := freePort(t), freePort(t)
	p := &program{
		binary: filepath.Join(t.TempDir(), "madansara"), database: dbtest.URL(t),
		base: "http://127.0.0.1:" + port, core: "http://127.0.0.1:" + corePort,
	}
	output, err := exec.Command("go", "build", "-o", p.binary, "github.com/engardehq/madansara/cmd/madansara").CombinedOutput()
	require.NoError(t, err, string(output))
	p.environ = append(os.Environ(),
		"ENGARDE_DATABASE_URL="+p.database, "PORT="+port, "PUBLIC_BASE_URL="+p.base, "SECRET_KEY="+strings.Repeat("5ec4e7", 12),
		"SERVICE_MESH_SECRET="+strings.Repeat("3e54", 12), "CREDENTIALS_KEY="+strings.Repeat("c5", 32), "ENGARDE_CORE_URL="+p.core,
		"MADANSARA_DATA_DIR="+t.TempDir(), "SMTP_HOST="+host, "SMTP_PORT="+smtpPort, "SMTP_TLS=none", "SMTP_FROM=Shop <shop@example.com>",
		"LOG_LEVEL=warn", "API_RATE_LIMIT=0")
	return p
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

func (p *program) start(t *testing.T) {
	t.Helper()
	p.cmd, p.ended = exec.Command(p.binary, "serve"), &sync.Once{}
	p.cmd.Env, p.cmd.Stderr = p.environ, os.Stderr
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { p.kill(t) })
	awaitReady(t, p.base)
}

// startCore runs Core until the test ends: without it nobody knows whose account a mail
// is to leave by.
func (p *program) startCore(t *testing.T) {
	t.Helper()
	cmd := exec.Command(p.binary, "serve", "engarde-core")
	cmd.Env, cmd.Stderr = append(slices.Clip(p.environ), "PORT="+strings.TrimPrefix(p.core, "http://127.0.0.1:")), os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	awaitReady(t, p.core)
}

func awaitReady(t *testing.T, base string) {
	t.Helper()
	require.Eventually(t, func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/health/ready", nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, time.Minute, 20*time.Millisecond)
}

func (p *program) kill(t *testing.T) {
	t.Helper()
	p.ended.Do(func() {
		require.NoError(t, p.cmd.Process.Kill())
		require.Error(t, p.cmd.Wait(), "it ended before it was killed")
	})
}

// stop ends the program as a deployment does; it has five seconds, less than a
// sender's slice.
func (p *program) stop(t *testing.T) {
	t.Helper()
	p.ended.Do(func() {
		timer := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
		defer timer.Stop()
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, p.cmd.Wait())
	})
}

func (p *program) tenant(t *testing.T) uuid.UUID {
	t.Helper()
	accounts := account.New(dbtest.Pool(t, p.database, "engarde_core_app"), clockwork.NewRealClock())
	tenant, err := accounts.CreateTenant(t.Context(), account.Tenant{Name: "The Shop"})
	require.NoError(t, err)
	p.key, _, err = accounts.CreateKey(t.Context(), tenant, account.NewKey{Kind: account.SecretKey, Name: "test", Scopes: []string{"*"}})
	require.NoError(t, err)
	return tenant
}

// seed adds n contacts who signed up and agreed to e-mail, and a template.
func (p *program) seed(t *testing.T, tenant uuid.UUID, n int) (template uuid.UUID) {
	t.Helper()
	template = uuid.Must(uuid.NewV7())
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = uuid.Must(uuid.NewV7())
	}
	require.NoError(t, dbtest.Pool(t, p.database, "madan_sara_app").Tenant(t.Context(), tenant, func(ctx context.Context, tx engardedb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO channel_templates VALUES ($1, $2, 'email', 'T', 'Hello {{ contact.first_name }}',
			'<p>Hello {{ contact.first_name }}, <a href="https://shop.example.com/">come back</a></p>', '', now(), now())`, tenant, template)
		require.NoError(t, err)
		for _, statement := range []string{
			`INSERT INTO contacts (tenant_uuid, contact_uuid, email, first_name, created_at, updated_at)
				SELECT $1, id, 'person' || n || '@example.com', 'Ti', now(), now() FROM unnest($2::uuid[]) WITH ORDINALITY AS c (id, n)`,
			`INSERT INTO consents SELECT $1, id, 'email', 'granted', 'test', now() FROM unnest($2::uuid[]) AS c (id)`,
			`INSERT INTO website_events (tenant_uuid, message_id, type, name, contact_uuid, occurred_at, received_at, url, properties, context)
				SELECT $1, id::text, 'track', 'Signed Up', id, now(), current_timestamp, '', '{}', '{}' FROM unnest($2::uuid[]) AS c (id)`,
		} {
			_, err := tx.Exec(ctx, statement, tenant, ids)
			require.NoError(t, err)
		}
		return nil
	}))
	return template
}

// call asks the program over HTTP and returns what it answered.
func (p *program) call(t *testing.T, method, path, body string, wanted int) map[string]any {
	t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, p.base+path, reader)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+p.key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, wanted, response.StatusCode, "%s %s: %s", method, path, raw)
	answer := map[string]any{}
	require.NoError(t, json.Unmarshal(raw, &answer), string(raw))
	return answer
}

// awaitFinished waits for the campaign's end and returns its messages by status.
func (p *program) awaitFinished(t *testing.T, campaign string) map[string]int {
	t.Helper()
	messages := map[string]int{}
	require.Eventually(t, func() bool {
		status := p.call(t, http.MethodGet, "/api/v1/outreach/campaigns/"+campaign+"/status", "", http.StatusOK)
		for name, n := range status["messages"].(map[string]any) {
			messages[name] = int(n.(float64))
		}
		return status["campaign"].(map[string]any)["status"] == "finished"
	}, 3*time.Minute, 100*time.Millisecond)
	return messages
}
