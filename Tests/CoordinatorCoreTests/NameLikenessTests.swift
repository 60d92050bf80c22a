import CoordinatorCore
import Testing

@Suite("Names that look alike")
struct NameLikenessTests {
  @Test(
    "letters of other scripts, other widths and other cases are taken for each other",
    arguments: [
      ("Engines", "Еngines"), ("Engines", "ENGINES"), ("Engines", "Eng1nes"),
      ("Engines", "Ｅngines"),
      ("modern", "modem"), ("paypal", "pаypаl"), ("Ada", "Αdа"), ("Bob", "B0b"), ("fi", "ﬁ"),
      ("x", "𝐱"), ("scope", "ѕсоре"), ("AI", "Al"), ("Ill", "lIl"), ("ΑΒΓ", "ABΓ"),
    ])
  func alike(one: String, other: String) {
    #expect(NameLikeness.key(of: one) == NameLikeness.key(of: other))
  }

  @Test(
    "other names are other names",
    arguments: [
      ("ada", "adah"), ("grace", "brace"), ("Müller", "Muller"), ("数学", "科学"), ("team 1", "team 2"),
      ("a", "b"), ("Анна", "Инна"),
    ])
  func different(one: String, other: String) {
    #expect(NameLikeness.key(of: one) != NameLikeness.key(of: other))
  }
}
