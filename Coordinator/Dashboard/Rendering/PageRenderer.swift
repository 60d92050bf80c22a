import Foundation
import Mustache
import WireProtocol

/// What a page shows: a template's name and the values that it is filled with.
///
/// Values are texts that are ready to be read; `{{name}}` escapes them. Markup of our own, such as
/// a chart, is put in by `{{{name}}}`.
package protocol PageContent: Sendable {
  /// The file in `Templates/`, without its ending.
  static var template: String { get }
  /// What the browser's tab says, in front of the project's name.
  var title: String { get }
}

/// Fills templates. They are part of the program, so that nothing has to be found beside it.
package struct PageRenderer: Sendable {
  private let library: MustacheLibrary

  /// - Throws: `MustacheTemplate.ParserError` when a template is wrong: a mistake of ours, which
  ///   the tests would meet first.
  package init(templates: [String: [UInt8]] = EmbeddedFiles.templates) throws {
    var library = MustacheLibrary()
    for (name, bytes) in templates {
      try library.register(String(decoding: bytes, as: UTF8.self), named: name)
    }
    self.library = library
  }

  /// The part of a page that its subject fills, without what all pages share.
  ///
  /// - Throws: `MissingTemplate`.
  package func main(_ content: some PageContent) throws -> String {
    try render(content, template: type(of: content).template)
  }

  /// A whole page.
  ///
  /// - Parameter main: what `main(_:)` made.
  /// - Throws: `MissingTemplate`.
  package func page(_ frame: PageFrame, main: String) throws -> String {
    try render(LayoutContent(frame: frame, main: main), template: "layout")
  }

  private func render(_ object: Any, template: String) throws -> String {
    guard let text = library.render(object, withTemplate: template) else {
      throw MissingTemplate(name: template)
    }
    // Templates escape markup; names of before there was a rule may hold what turns the direction.
    return ForeignText.plain(text, keepsLines: true)
  }

  /// A page names a template that is not part of the program.
  package struct MissingTemplate: Error, CustomStringConvertible {
    package var name: String
    package var description: String { "there is no template '\(name)'" }
  }
}

/// What the layout is filled with.
private struct LayoutContent {
  let title: String
  let projectName = "Tallystick"
  let navigation: [NavigationItem]
  let account: String?
  let hasAccount: Bool
  let message: String?
  let styleSheet = Asset.styleSheet.path
  let script = Asset.script.path
  let icon = Asset.icon.path
  let version: String
  let main: String

  init(frame: PageFrame, main: String) {
    title = frame.title
    navigation = NavigationItem.all(current: frame.section)
    account = frame.visitorName
    hasAccount = frame.visitorName != nil
    message = frame.message
    version = frame.version
    self.main = main
  }
}

/// What all pages share.
package struct PageFrame: Hashable, Sendable {
  package var title: String
  /// The part of the navigation that the page belongs to.
  package var section: Section?
  /// Whose account is signed in, or that the operator is; nil for nobody.
  package var visitorName: String?
  /// What the operator tells everyone.
  package var message: String?
  /// The program's.
  package var version: String

  package enum Section: String, CaseIterable, Hashable, Sendable {
    case fleet, jobs, models, leaderboard
  }

  package init(
    title: String, section: Section?, visitorName: String? = nil, message: String? = nil,
    version: String
  ) {
    self.title = title
    self.section = section
    self.visitorName = visitorName
    self.message = message
    self.version = version
  }
}

/// A link of the navigation.
private struct NavigationItem {
  let path: String
  let label: String
  let isCurrent: Bool

  static func all(current: PageFrame.Section?) -> [NavigationItem] {
    PageFrame.Section.allCases.map { section in
      let (path, label) =
        switch section {
        case .fleet: ("/", "Fleet")
        case .jobs: ("/jobs", "Jobs")
        case .models: ("/models", "Models")
        case .leaderboard: ("/leaderboard", "Leaderboard")
        }
      return NavigationItem(path: path, label: label, isCurrent: section == current)
    }
  }
}
