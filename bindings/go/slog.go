//go:build go1.21

package pouch

import (
	"context"
	"log/slog"
)

// ForwardLogsTo is ForwardLogs to a logger of log/slog.
func ForwardLogsTo(level LogLevel, logger *slog.Logger) (stop func(), err error) {
	levels := map[string]slog.Level{"error": slog.LevelError, "warning": slog.LevelWarn, "info": slog.LevelInfo}
	return ForwardLogs(level, func(record LogRecord) {
		at, ok := levels[record.Level]
		if !ok {
			at = slog.LevelDebug
		}
		logger.LogAttrs(context.Background(), at, record.Message, slog.String("component", record.Component),
			slog.String("root", record.Root), slog.String("object", record.Object),
			slog.String("request_id", record.RequestID))
	})
}
