package account

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
)

const (
	// noteEvery is how long uses of keys are gathered before they are written.
	noteEvery = 30 * time.Second
	// mostUses bounds how many keys' uses are gathered; of more, some uses are not noted.
	mostUses = 10_000
)

// uses are when keys were used, not yet written. A process that is killed loses them.
type uses struct {
	mu    sync.Mutex
	last  map[uuid.UUID]time.Time
	timer clockwork.Timer // nil while nothing waits
	ended bool
}

// noteUse remembers that a key was used, and has it written within noteEvery.
func (s *Service) noteUse(id uuid.UUID, at time.Time) {
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	if s.uses.ended {
		return
	}
	if s.uses.last == nil {
		s.uses.last = map[uuid.UUID]time.Time{}
	}
	if _, known := s.uses.last[id]; !known && len(s.uses.last) >= mostUses {
		return
	}
	s.uses.last[id] = at
	if s.uses.timer == nil {
		s.uses.timer = s.clock.AfterFunc(noteEvery, func() {
			ctx, cancel := context.WithTimeout(context.Background(), authTimeout)
			defer cancel()
			if err := s.writeUses(ctx); err != nil {
				slog.WarnContext(ctx, "when keys were used could not be noted", "error", err)
			}
		})
	}
}

// writeUses writes what was gathered. What cannot be written is forgotten: the
// next use is soon, and the time is for people to look at.
func (s *Service) writeUses(ctx context.Context) error {
	s.uses.mu.Lock()
	last := s.uses.last
	s.uses.last, s.uses.timer = nil, nil
	s.uses.mu.Unlock()
	if len(last) == 0 {
		return nil
	}
	keys := slices.Collect(maps.Keys(last))
	times := make([]time.Time, len(keys))
	for i, key := range keys {
		times[i] = last[key].UTC()
	}
	if _, err := s.db.Pool().Exec(ctx, "select auth_note_key_use($1, $2)", keys, times); err != nil {
		return fmt.Errorf("note the use of %d keys: %w", len(keys), err)
	}
	return nil
}

// Close writes which keys were used and notes no more; keys are checked as before.
func (s *Service) Close(ctx context.Context) error {
	s.uses.mu.Lock()
	if s.uses.timer != nil {
		s.uses.timer.Stop()
	}
	s.uses.ended = true
	s.uses.mu.Unlock()
	return s.writeUses(ctx)
}
