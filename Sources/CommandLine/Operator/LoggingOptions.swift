import ArgumentParser
import Logging

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
      return handler
    }
  }
}
