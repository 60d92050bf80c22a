import Crypto
import Foundation

/// A file that pages load beside themselves. Its address holds a digest of its bytes, so that
/// browsers may keep it for ever and still have the present one.
package struct Asset: Sendable {
  package let name: String
  package let bytes: [UInt8]
  package let contentType: String
  /// `/assets/3f2a9c01-page.css`.
  package let path: String

  init(name: String, bytes: [UInt8], contentType: String) {
    self.name = name
    self.bytes = bytes
    self.contentType = contentType
    let digest = SHA256.hash(data: bytes).prefix(4).map { String(format: "%02x", $0) }.joined()
    path = "/assets/\(digest)-\(name)"
  }

  package static let styleSheet = Asset(
    name: "page.css", bytes: PackageResources.page_css, contentType: "text/css; charset=utf-8")
  package static let script = Asset(
    name: "page.js", bytes: PackageResources.page_js,
    contentType: "text/javascript; charset=utf-8")
  package static let icon = Asset(
    name: "icon.svg", bytes: PackageResources.icon_svg, contentType: "image/svg+xml")

  /// The asset whose address ends in `name`; nil for none, also when the digest is another one's.
  package static func named(_ name: String) -> Asset? {
    [styleSheet, script, icon].first { $0.path == "/assets/\(name)" }
  }
}

/// The templates that are part of the program.
package enum EmbeddedFiles {
  /// By name without the ending.
  package static let templates: [String: [UInt8]] = [
    "account": PackageResources.account_mustache,
    "error": PackageResources.error_mustache,
    "figures": PackageResources.figures_mustache,
    "fleet": PackageResources.fleet_mustache,
    "job": PackageResources.job_mustache,
    "jobs": PackageResources.jobs_mustache,
    "layout": PackageResources.layout_mustache,
    "leaderboard": PackageResources.leaderboard_mustache,
    "models": PackageResources.models_mustache,
    "sign-in": PackageResources.sign_in_mustache,
    "spans": PackageResources.spans_mustache,
    "team": PackageResources.team_mustache,
    "tuning": PackageResources.tuning_mustache,
    "worker": PackageResources.worker_mustache,
  ]
}
