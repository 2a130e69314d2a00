-- When quotas, plans or roles last changed, of the one row: later with each change, whatever the clocks of processes say.
CREATE TABLE terms_changed (id BIGINT NOT NULL PRIMARY KEY, at BIGINT NOT NULL) ENGINE = InnoDB;
INSERT INTO terms_changed (id, at) VALUES (1, 0);
