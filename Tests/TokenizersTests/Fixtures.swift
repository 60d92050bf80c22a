import Foundation
import ModelFormats
import Tokenizers

/// The repository's test data, or the folder that an environment variable names.
enum Fixtures {
  static let tests = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent()

  /// `Tests/Fixtures`, or `TALLY_FIXTURES`: a folder of the same shape.
  static let root: URL = {
    if let path = ProcessInfo.processInfo.environment["TALLY_FIXTURES"], !path.isEmpty {
      return URL(fileURLWithPath: path)
    }
    return tests.appendingPathComponent("Fixtures")
  }()

  static func contents(of folder: URL) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .sorted { $0.path < $1.path }
  }

  static func json(_ url: URL) throws -> JSONValue {
    try JSONReader.parse(
      Array(try Data(contentsOf: url)), file: url.lastPathComponent, rules: .lenient)
  }
}
