import ArgumentParser
import Logging
import WireProtocol

/// What a long-running command tells of itself, on standard error.
struct LoggingOptions: ParsableArguments {
  enum Level: String, ExpressibleByArgument, CaseIterable {
    case trace, debug, info, notice, warning, error

    var level: Logger.Level {
      switch self {
      case .trace: .trace
      case .debug: .debug
      case .info: .info
      case .notice: .notice
      case .warning: .warning
      case .error: .error
      }
    }
  }

  @Option(help: "The least important messages to show.")
  var logLevel: Level = .info

  func makeLogger(_ label: String) -> Logger {
    let level = logLevel.level
    return Logger(label: label) { label in
      var handler = StreamLogHandler.standardError(label: label)
      handler.logLevel = level
      return ForeignTextLogHandler(handler)
    }
  }
}

/// Passes messages on as one line each, whatever others have put into them.
private struct ForeignTextLogHandler: LogHandler {
  private var handler: StreamLogHandler

  init(_ handler: StreamLogHandler) { self.handler = handler }

  var logLevel: Logger.Level {
    get { handler.logLevel }
    set { handler.logLevel = newValue }
  }
  var metadata: Logger.Metadata {
    get { handler.metadata }
    set { handler.metadata = newValue.mapValues(Self.plain) }
  }
  var metadataProvider: Logger.MetadataProvider? {
    get { handler.metadataProvider }
    set { handler.metadataProvider = newValue }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { handler[metadataKey: key] }
    set { handler[metadataKey: key] = newValue.map(Self.plain) }
  }

  func log(event: LogEvent) {
    var event = event
    event.message = "\(ForeignText.plain(event.message.description))"
    event.metadata = event.metadata?.mapValues(Self.plain)
    handler.log(event: event)
  }

  private static func plain(_ value: Logger.MetadataValue) -> Logger.MetadataValue {
    switch value {
    case .string(let text): .string(ForeignText.plain(text))
    case .stringConvertible(let value): .string(ForeignText.plain(value.description))
    case .array(let values): .array(values.map(plain))
    case .dictionary(let values): .dictionary(values.mapValues(plain))
    }
  }
}
