import CoordinatorServer
import Foundation
import TestSupport
import Testing

@Suite struct ConfigurationTests {
  private func layers() -> ConfigurationLayers {
    ConfigurationLayers(CoordinatorConfiguration(dataFolder: URL(filePath: "/var/lib/x")))
  }

  private func error(_ body: () throws -> Void) -> ConfigurationError? {
    do {
      try body()
      return nil
    } catch {
      return error as? ConfigurationError
    }
  }

  @Test func commandLineBeatsEnvironmentBeatsFileBeatsDefault() throws {
    var layers = self.layers()
    let file = """
      {
        // Comments are allowed.
        "unit_seconds": 10, "quorum": 3, "idle_seconds": 7, "replica_stretch": 2,
      }
      """
    try layers.apply(json: Data(file.utf8), place: "f")
    try layers.apply(
      environment: [
        "TALLY_COORDINATOR_QUORUM": "4", "TALLY_COORDINATOR_IDLE_SECONDS": "8",
        "TALLY_COORDINATOR_HOST_NAMES": "a.example, b.example", "TALLY_COORDINATOR_ARGUMENTS": "-x",
      ])
    try layers.set("idle_seconds", .integer(9), from: .commandLine, place: "the command line")
    let made = layers.configuration
    #expect(made.policy.targetUnitSeconds == 10)
    #expect(made.policy.quorum == 4)
    #expect(made.policy.retryAfterSeconds == 9)
    #expect(made.policy.replicaStretch == 2)
    #expect(made.policy.silenceSeconds == 120)
    #expect(made.hostNames == ["a.example", "b.example"])
    try layers.validate()
  }

  @Test func whatIsPrintedIsAFileOfTheSameConfiguration() throws {
    var layers = self.layers()
    try layers.set("quorum", .integer(5), from: .commandLine, place: "c")
    try layers.set(
      "public_url", .text("https://tally.example.org:8787"), from: .commandLine, place: "c")
    let text = try layers.rendered()
    #expect(text.contains("Set by: command line."))
    #expect(text.contains("An integer from 2 to 16. Default: 2."))
    var again = self.layers()
    try again.apply(json: Data(text.utf8), place: "f")
    for setting in CoordinatorSetting.all {
      #expect(
        setting.value(in: again.configuration) == setting.value(in: layers.configuration),
        "\(setting.key)")
      #expect(text.contains("\"\(setting.key)\":") && text.contains(setting.about))
    }
  }

  @Test func everySettingTakesItsOwnDefaultAndKeysAreUnique() {
    var layers = self.layers()
    let standard = layers.configuration
    for setting in CoordinatorSetting.all {
      #expect(throws: Never.self) {
        try layers.set(
          setting.key, setting.value(in: standard), from: .file, place: "f")
      }
    }
    #expect(Set(CoordinatorSetting.all.map(\.key)).count == CoordinatorSetting.all.count)
  }

  @Test func mistakesAreNamed() {
    func told(_ json: String) -> ConfigurationError? {
      var layers = self.layers()
      return error { try layers.apply(json: Data(json.utf8), place: "f.json") }
    }
    #expect(
      told(#"{"quorom": 3}"#)?.description.contains("f.json: quorom: there is no such") == true)
    #expect(told(#"{"quorum": "3"}"#)?.description.contains("an integer from 2 to 16") == true)
    #expect(told(#"{"quorum": 1}"#)?.key == "quorum")
    #expect(told(#"{"quorum": 2.5}"#)?.key == "quorum")
    #expect(told(#"{"host": null}"#)?.key == "host")
    #expect(told(#"{"quorum": {}}"#)?.key == "quorum")
    #expect(told(#"{"quorum": 3"#)?.reason.contains("no JSON object") == true)
    #expect(told(#"[3]"#) != nil)
    #expect(told("") != nil)
    #expect(told(String(repeating: " ", count: 2 << 20)) != nil)
    var layers = self.layers()
    #expect(
      error { try layers.apply(environment: ["TALLY_COORDINATOR_PORT": "http"]) }?.key
        == "TALLY_COORDINATOR_PORT")
    #expect(error { try layers.apply(file: URL(filePath: "/nonexistent/f.json")) } != nil)
  }

  @Test func settingsThatDoNotGoTogetherAreRefused() throws {
    for (key, value) in [
      ("heartbeat_seconds", SettingValue.integer(500)), ("certificate", .text("c.pem")),
      ("public_url", .text("http://plain.example")),
    ] {
      var layers = self.layers()
      try layers.set(key, value, from: .file, place: "f")
      #expect(error { try layers.validate() }?.key == key)
    }
  }
}
