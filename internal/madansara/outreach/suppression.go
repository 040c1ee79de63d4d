package outreach

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/engardehq/madansara/engardedb"
	"github.com/engardehq/madansara/internal/fault"
	"github.com/engardehq/madansara/internal/madansara/contact"
	"github.com/engardehq/madansara/internal/madansara/outreach/outreachdb"
)

// Suppression is an address that is never written to.
type Suppression struct {
	Channel   string    `json:"channel"`
	Address   string    `json:"address"`
	Reason    string    `json:"reason" enum:"unsubscribed,bounced,complained,manual"`
	CreatedAt time.Time `json:"created_at"`
}

// Suppressions returns up to limit suppressions by channel and address, after
// the given one, of one channel or, when it is empty, of all.
func (s *Service) Suppressions(ctx context.Context, tenant uuid.UUID, channel string, after Suppression, limit int) (out []Suppression, err error) {
	if !clean(channel) || !clean(after.Address) || !clean(after.Channel) {
		return nil, fault.At("query", nil, "must be UTF-8 text without NUL")
	}
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := outreachdb.New(tx).ListSuppressions(ctx, outreachdb.ListSuppressionsParams{
			AfterChannel: after.Channel, AfterAddress: after.Address, Channel: channel, PageSize: int32(limit),
		})
		if err != nil {
			return fmt.Errorf("list suppressions: %w", err)
		}
		out = make([]Suppression, len(rows))
		for i, row := range rows {
			out[i] = Suppression(row)
		}
		return nil
	})
	return out, err
}

// SuppressionsOf returns the channels on which an address is never written to.
func (s *Service) SuppressionsOf(ctx context.Context, tenant uuid.UUID, address string) (out []Suppression, err error) {
	err = s.db.TenantRead(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		rows, err := outreachdb.New(tx).SuppressionsOf(ctx, contact.NormalEmail(address))
		if err != nil {
			return fmt.Errorf("read the suppressions of an address: %w", err)
		}
		for _, row := range rows {
			out = append(out, Suppression(row))
		}
		return nil
	})
	return out, err
}

// Suppress keeps an address from being written to; an address that is
// suppressed already keeps its reason.
func (s *Service) Suppress(ctx context.Context, tenant uuid.UUID, channel, address, reason string) error {
	address = contact.NormalEmail(address)
	if !clean(address) || !looksLikeAddress(address) {
		return fault.At("body.address", nil, "is not an e-mail address")
	}
	err := s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		return outreachdb.New(tx).Suppress(ctx, outreachdb.SuppressParams{
			TenantUUID: tenant, Channel: channel, Address: address, Reason: reason, CreatedAt: s.now(),
		})
	})
	if err != nil {
		return fmt.Errorf("suppress an address: %w", err)
	}
	return nil
}

// Unsuppress lets an address be written to again; NotFound when it was not suppressed.
func (s *Service) Unsuppress(ctx context.Context, tenant uuid.UUID, channel, address string) error {
	address = contact.NormalEmail(address)
	if !clean(address) || !clean(channel) {
		return fault.At("query.address", nil, "must be UTF-8 text without NUL")
	}
	return s.db.Tenant(ctx, tenant, func(ctx context.Context, tx engardedb.Tx) error {
		removed, err := outreachdb.New(tx).Unsuppress(ctx, outreachdb.UnsuppressParams{Channel: channel, Address: address})
		if err != nil {
			return fmt.Errorf("remove a suppression: %w", err)
		}
		if removed == 0 {
			return fault.New(fault.NotFound, "The address is not suppressed on %s.", channel)
		}
		return nil
	})
}
