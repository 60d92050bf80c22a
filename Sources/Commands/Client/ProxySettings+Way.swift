import Foundation
import WireProtocol

extension ProxySettings {
  /// ` through http://proxy:3128` where the environment names a proxy for connections to `url`;
  /// else nothing.
  static func way(to url: String) -> String {
    let proxy = try? ProxySettings(for: url, environment: ProcessInfo.processInfo.environment)
    return proxy.map { " through \($0.spelled)" } ?? ""
  }
}
