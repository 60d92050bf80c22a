import CoordinatorCore
import CoordinatorStore
import Foundation
import HTTPTypes
import Hummingbird
import Testing
import WireProtocol

@Suite("Pages of fleet, jobs and models")
struct WorkPageTests {
  @Test("an empty coordinator says what would be there")
  func empty() async throws {
    let dashboard = try await TestDashboard()
    try await dashboard.test { client in
      let fleet = try await client.page("/")
      #expect(fleet.status == 200 && fleet.problems.isEmpty)
      #expect(fleet.text.contains("No worker is active. 0 workers of 0 accounts joined so far."))
      let jobs = try await client.page("/jobs")
      #expect(jobs.text.contains("No job has been submitted yet.") && jobs.problems.isEmpty)
      let models = try await client.page("/models")
      #expect(models.text.contains("tiny") && models.text.contains("2,048 tokens"))
      #expect(models.text.contains("1 GFLOP"))
      #expect(models.problems.isEmpty)
    }
  }

  @Test("a job's page says how far it is and what each unit waits for")
  func job() async throws {
    let dashboard = try await TestDashboard()
    let job = try await dashboard.submitJob(lines: 2)
    try await dashboard.test { client in
      func page() async throws -> PageAnswer {
        let page = try await client.page("/jobs/\(job)")
        #expect(page.status == 200 && page.problems.isEmpty)
        return page
      }
      #expect(
        try await page().text.contains(
          "No worker of the public pool has asked for work in the last 10 minutes."))
      #expect(try await page().text.contains("None has been cut yet"))
      let ann = try await dashboard.worker("attic", account: "ann")
      let bob = try await dashboard.worker("cellar", account: "modest bob", isNamed: false)
      let lease = try #require(try await dashboard.lease(ann).first)
      #expect(try await page().text.contains("one of a second account is wanted as well"))
      #expect(try await page().text.contains("attic of ann : running"))
      try await dashboard.submit(lease, by: ann)
      var shown = try await page()
      #expect(shown.text.contains("it waits for a worker of a second account to confirm it"))
      let second = try #require(try await dashboard.lease(bob).first)
      shown = try await page()
      #expect(shown.text.contains("a second account computes it to confirm it"))
      #expect(shown.text.contains("a worker: running"))
      #expect(!shown.body.contains("cellar") && !shown.body.contains("modest"))
      try await dashboard.submit(second, by: bob)
      #expect(try await page().text.contains("Results of two accounts are equal."))
      let jobs = try await client.page("/jobs")
      #expect(jobs.text.contains(job) && jobs.text.contains("writing its files"))
    }
  }

  @Test("a fine-tuning job's page shows its rounds, and nothing that is its owner's")
  func tuning() async throws {
    let dashboard = try await TestDashboard()
    let job = try await dashboard.submitTuning()
    try await dashboard.test { client in
      let before = try await client.page("/tuning/\(job)")
      #expect(before.status == 200 && before.problems.isEmpty)
      #expect(before.text.contains("waiting for workers") && before.text.contains("0 of 6 steps"))
      let ann = try await dashboard.worker("attic", account: "ann")
      #expect(try await dashboard.lease(ann).first?.specification.kind == .train)
      let fleet = try await client.page("/")
      #expect(fleet.body.contains("/tuning/\(job)") && fleet.problems.isEmpty)
      #expect(fleet.text.contains("Jobs under way 1"))
      try await dashboard.joinRound(of: job)
      let after = try await client.page("/tuning/\(job)")
      #expect(after.text.contains("in progress") && after.text.contains("3 of 6 steps"))
      #expect(after.text.contains("1 of 1") && after.text.contains("2.5") && after.problems.isEmpty)
      let jobs = try await client.page("/jobs")
      #expect(
        jobs.text.contains(job) && jobs.text.contains("1 of 2 rounds") && jobs.problems.isEmpty)
      for page in [after, jobs] { #expect(!page.body.contains("secret")) }
      #expect(try await client.page("/tuning/ftjob-none").status == 404)
    }
  }

  @Test("the operator's key shows every name, and nobody else's does")
  func operatorSees() async throws {
    let dashboard = try await TestDashboard()
    let job = try await dashboard.submitJob(lines: 4)
    let bob = try await dashboard.worker("cellar", account: "bob", isNamed: false)
    _ = try await dashboard.lease(bob)
    let key = try await dashboard.operatorKey()
    let own = try await dashboard.accountKey("bob")
    try await dashboard.test { client in
      for path in ["/", "/jobs/\(job)", "/workers/\(bob.id)"] {
        let page = try await client.page(path, key: key)
        #expect(page.status == 200 && page.problems.isEmpty, "\(path)")
        #expect(page.text.contains("cellar") && page.text.contains("Operator"), "\(path)")
      }
      for stranger in [nil, own, key + "x", "tally-operator-"] {
        for path in ["/", "/jobs/\(job)"] {
          #expect(!(try await client.page(path, key: stranger)).body.contains("cellar"))
        }
      }
      #expect(try await client.page("/workers/\(bob.id)").status == 404)
      // It opens no account, whose owner may change things there.
      #expect(try await client.page("/accounts/\(bob.accountID)", key: key).status == 401)
      let signedIn = try await client.form("/sign-in", "key=\(key)")
      #expect(signedIn.status == 303 && signedIn.headers[.location] == "/")
      #expect(signedIn.cookie.isSuperset(of: ["HttpOnly", "Secure", "SameSite=Strict"]))
      try await dashboard.store.setOperatorKey(hash: nil)
      #expect(!(try await client.page("/", key: key)).body.contains("cellar"))
    }
  }

  @Test("jobs come in pages; what does not exist is said in words")
  func paging() async throws {
    let dashboard = try await TestDashboard()
    var jobs: [String] = []
    for _ in 0..<51 { jobs.append(try await dashboard.submitJob(lines: 1)) }
    let (oldest, second) = (jobs[0], jobs[1])
    try await dashboard.test { client in
      let first = try await client.page("/jobs")
      #expect(!first.body.contains(oldest) && first.body.contains("/jobs?after=\(second)"))
      #expect(try await client.page("/jobs?after=\(second)").body.contains(oldest))
      for path in ["/jobs?after=nothing", "/jobs/nothing"] {
        let missing = try await client.page(path)
        #expect(missing.status == 404 && missing.text.contains("Not found"))
        #expect(missing.problems.isEmpty)
        // A program is told in JSON, as everywhere.
        let program = try await client.page(path, headers: [.accept: "application/json"])
        #expect(program.status == 404 && program.body.contains("\"error\""))
      }
    }
  }

  @Test("a model's name and whatever else comes in is shown as text")
  func escapes() async throws {
    let dashboard = try await TestDashboard()
    var model = try #require(try await dashboard.store.model("tiny"))
    model.id = "<script>alert(1)</script>"
    model.source = "a\"b'c&d"
    try await dashboard.store.registerModel(model, provenance: nil, blobs: [])
    _ = try await dashboard.worker("<b>bold</b>", account: "ann")
    try await dashboard.store.setMessage("<i>soon</i>")
    try await dashboard.test { client in
      for path in ["/models", "/", "/leaderboard"] {
        let page = try await client.page(path)
        #expect(page.problems.isEmpty, "\(path)")
        #expect(!page.body.contains("<script>alert") && !page.body.contains("<b>bold"))
        #expect(!page.body.contains("<i>soon") && page.body.contains("&lt;i&gt;soon&lt;/i&gt;"))
      }
    }
  }

  @Test("pages and files of theirs come with headers that keep others' scripts and frames out")
  func headers() async throws {
    let dashboard = try await TestDashboard()
    try await dashboard.test { client in
      let page = try await client.page("/")
      let policy = page.headers[.contentSecurityPolicy] ?? ""
      #expect(policy.hasPrefix("default-src 'none'") && policy.contains("frame-ancestors 'none'"))
      #expect(!policy.contains("unsafe") && page.headers[.cacheControl] == "no-store")
      let addresses = page.body.matches(of: /"(\/assets\/[^"]+)"/).map { String($0.1) }
      #expect(Set(addresses).count == 3)
      for address in Set(addresses) {
        let file = try await client.page(address)
        #expect(file.status == 200 && file.headers[.cacheControl]?.contains("immutable") == true)
      }
      #expect(try await client.page("/assets/page.css").status == 404)
      #expect(try await client.page("/assets/..%2f..%2fcoordinator.sqlite").status == 404)
    }
  }
}
